//! The sequential register that each key of a history is compared with.
//!
//! Written from Redis' documentation and not from Coterie's code, so that it does not repeat an
//! error of that code.

use bytes::Bytes;

use crate::history::{Action, Observed};

/// The value of a key; `None` when it does not exist.
pub type Value = Option<Bytes>;

/// The value and the reply after `action` runs alone on a key that holds `before`.
#[must_use]
pub fn step(before: &Value, action: &Action) -> (Value, Observed) {
    match action {
        Action::Get => (before.clone(), Observed::Value(before.clone())),
        Action::Set(value) => (Some(value.clone()), Observed::Ok),
        Action::GetSet(value) => (Some(value.clone()), Observed::Value(before.clone())),
        Action::SetNx(value) => match before {
            None => (Some(value.clone()), Observed::Integer(1)),
            Some(_) => (before.clone(), Observed::Integer(0)),
        },
        Action::Incr => match sum(before) {
            Some(sum) => (Some(Bytes::from(sum.to_string())), Observed::Integer(sum)),
            None => (before.clone(), Observed::Rejected),
        },
        Action::Append(tail) => {
            let mut joined = before.as_deref().unwrap_or_default().to_vec();
            joined.extend_from_slice(tail);
            let len = i64::try_from(joined.len()).unwrap_or(i64::MAX);
            (Some(Bytes::from(joined)), Observed::Integer(len))
        }
        Action::Del => (None, Observed::Integer(i64::from(before.is_some()))),
    }
}

/// The successor of the number in `before`; `None` if it is no number or the largest.
fn sum(before: &Value) -> Option<i64> {
    let Some(text) = before else { return Some(1) };
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // `parse` takes "+7" and "007" too; Redis does not.
    (number.to_string().as_bytes() == text.as_ref()).then(|| number.checked_add(1))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_counts_and_text_does_not() {
        let text = |s: &'static str| Some(Bytes::from_static(s.as_bytes()));
        assert_eq!(
            step(&None, &Action::Incr),
            (text("1"), Observed::Integer(1))
        );
        assert_eq!(
            step(&text("-1"), &Action::Incr),
            (text("0"), Observed::Integer(0))
        );
        for not_a_number in ["", "a", "+7", "007", " 1", "9223372036854775807"] {
            let before = text(not_a_number);
            assert_eq!(
                step(&before, &Action::Incr),
                (before.clone(), Observed::Rejected)
            );
        }
    }
}
