//! The largest buffers that any client had during the last seconds, as INFO shows them (Redis
//! `server.c`, `clientsCronTrackExpansiveClients`).

use parking_lot::Mutex;

/// Seconds that are remembered.
const SECONDS: usize = 8;

/// The largest sizes that a client's buffers had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// Bytes received, and the room for more.
    pub(crate) input_bytes: usize,
    /// Bytes of replies that waited to be written.
    pub(crate) output_bytes: usize,
    /// The part of `output_bytes` in the buffer of small replies.
    pub(crate) buffer_bytes: usize,
}

impl Peak {
    /// The larger of each size.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            input_bytes: self.input_bytes.max(other.input_bytes),
            output_bytes: self.output_bytes.max(other.output_bytes),
            buffer_bytes: self.buffer_bytes.max(other.buffer_bytes),
        }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Peaks(Mutex<Seconds>);

#[derive(Debug, Default)]
struct Seconds {
    peaks: [Peak; SECONDS],
    now: usize,
}

impl Peaks {
    /// Counts a client's peak for this second.
    pub(crate) fn add(&self, peak: Peak) {
        self.with(|seconds| {
            let now = &mut seconds.peaks[seconds.now];
            *now = now.or(peak);
        });
    }

    /// Begins a second and forgets the oldest.
    pub(crate) fn begin_second(&self) {
        self.with(|seconds| {
            seconds.now = (seconds.now + 1) % SECONDS;
            seconds.peaks[seconds.now] = Peak::default();
        });
    }

    /// The largest sizes of all remembered seconds.
    pub(crate) fn most(&self) -> Peak {
        self.with(|seconds| seconds.peaks.into_iter().fold(Peak::default(), Peak::or))
    }

    fn with<R>(&self, with: impl FnOnce(&mut Seconds) -> R) -> R {
        // Nothing panics while holding it.
        with(&mut self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_for_some_seconds() {
        let peaks = Peaks::default();
        let peak = |input_bytes, output_bytes| Peak {
            input_bytes,
            output_bytes,
            buffer_bytes: 0,
        };
        peaks.add(peak(5, 1));
        peaks.add(peak(3, 2));
        for _ in 1..SECONDS {
            peaks.begin_second();
            assert_eq!(peaks.most(), peak(5, 2));
        }
        peaks.begin_second();
        assert_eq!(peaks.most(), peak(0, 0));
    }
}
