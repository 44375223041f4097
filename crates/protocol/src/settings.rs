//! The cluster's settings: every name that `COTERIE SETTING` takes, with its kind, its default and
//! its meaning. Meta stores names and values without interpreting them; readers of a setting
//! interpret it by its row here.

use std::collections::BTreeMap;

/// The values that a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `on` or `off`, in any case.
    Switch,
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// Its value while unset.
    pub default: &'static str,
    /// Its effect, in a sentence.
    pub meaning: &'static str,
}

/// Whether the controller evens out ranges and leaders.
pub static BALANCE: Setting = Setting {
    name: "balance",
    kind: Kind::Switch,
    default: "on",
    meaning: "whether the controller evens out ranges and leaders",
};

/// Every setting, sorted by name.
pub static SETTINGS: &[&Setting] = &[&BALANCE];

impl Kind {
    /// The values, for people.
    #[must_use]
    pub fn values(self) -> &'static str {
        match self {
            Kind::Switch => "on or off",
        }
    }

    /// The value in its stored form, or `None` if it is not of this kind.
    #[must_use]
    pub fn parse(self, value: &str) -> Option<String> {
        match self {
            Kind::Switch => {
                let value = value.to_ascii_lowercase();
                matches!(value.as_str(), "on" | "off").then_some(value)
            }
        }
    }
}

impl Setting {
    /// The setting of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Setting> {
        SETTINGS
            .iter()
            .copied()
            .find(|setting| setting.name == name)
    }

    /// The value in force. A value of another kind, as an older version accepted it, counts as
    /// unset.
    #[must_use]
    pub fn value(&self, settings: &BTreeMap<String, String>) -> String {
        let set = settings.get(self.name);
        set.and_then(|value| self.kind.parse(value))
            .unwrap_or_else(|| self.default.to_owned())
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn is_on(&self, settings: &BTreeMap<String, String>) -> bool {
        self.value(settings) == "on"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sorted_and_their_defaults_are_of_their_kind() {
        assert!(SETTINGS.is_sorted_by(|a, b| a.name < b.name));
        for setting in SETTINGS {
            assert_eq!(
                setting.kind.parse(setting.default).as_deref(),
                Some(setting.default)
            );
            assert_eq!(Setting::named(setting.name), Some(*setting));
        }
        assert_eq!(Setting::named("balence"), None);
    }

    #[test]
    fn nonsense_counts_as_not_set() {
        let value = |value: &str| BALANCE.value(&[("balance".to_owned(), value.to_owned())].into());
        assert_eq!(
            (value("OFF"), value("on")),
            ("off".to_owned(), "on".to_owned())
        );
        assert_eq!(value("nonsense"), "on");
        assert!(BALANCE.is_on(&BTreeMap::new()));
    }
}
