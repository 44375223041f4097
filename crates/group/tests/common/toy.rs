//! An engine for a language in small, and a leader with a follower: commands, one after the other,
//! separated by `;`. The reply of a script is that of the last.

use bytes::{Bytes, BytesMut};
use coterie_group::{
    Body, Ended, Rights, ScriptEffects, ScriptEngine, ScriptRun, ScriptSeat, ScriptState, Slot,
    is_put_off,
};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, FrameReply, Refusal, Watch};
use coterie_redis_compat::{Resp, ScriptCall, ScriptSource};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, RangeDescriptor, RangeId, SessionId, TableId, UnixMillis,
};

use super::Replica;

pub(crate) const T: TableId = TableId(0);
pub(crate) const GROUP: GroupId = GroupId(1);

/// Runs commands; `die` ends a script from outside, `stop` stops its frame, `readonly` takes the
/// right to write.
#[derive(Default)]
pub(crate) struct Toy {
    pub(crate) runs: usize,
}

impl ScriptEngine for Toy {
    fn run(
        &mut self,
        call: &ScriptCall<'_>,
        state: &mut ScriptState<'_, '_>,
        resp: Resp,
        out: &mut BytesMut,
    ) -> Ended {
        self.runs += 1;
        let ScriptSource::Script(body) = call.source else {
            panic!("a function")
        };
        let body = String::from_utf8(body.to_vec()).unwrap();
        let mut reply = BytesMut::new();
        for line in body.split(';') {
            reply.clear();
            match line {
                "die" => {
                    out.extend_from_slice(b"-ERR killed\r\n");
                    return Ended::FromOutside;
                }
                "stop" => state.stop(Refusal::Overloaded),
                "readonly" => state.restrict(Rights {
                    may_write: false,
                    may_grow: false,
                }),
                line => {
                    let words = line.split(',').map(|word| match word {
                        "KEY" => call.keys[0].clone(),
                        "ARG" => call.args[0].clone(),
                        word => Bytes::copy_from_slice(word.as_bytes()),
                    });
                    state.call(words.collect(), resp, &mut reply);
                }
            }
            if state.is_stopped() {
                return Ended::ByItself;
            }
        }
        out.extend_from_slice(&reply);
        Ended::ByItself
    }
}

pub(crate) fn frame_with(
    seq: u64,
    lines: &[&str],
    flags: FrameFlags,
    watches: Vec<Watch>,
) -> Bytes {
    let command = |line: &&str| FrameCommand {
        table: T,
        args: line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect(),
    };
    let frame = Frame {
        flags: flags.with(FrameFlags::SCRIPTS),
        session: SessionId(7),
        seq: FrameSeq(seq),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        wait: None,
        watches,
        commands: lines.iter().map(command).collect(),
    };
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

pub(crate) fn frame(seq: u64, lines: &[&str]) -> Bytes {
    frame_with(seq, lines, FrameFlags::default(), vec![])
}

pub(crate) fn range(group_id: GroupId, epoch: u64) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(1),
        epoch: Epoch(epoch),
        bounds: KeyRange {
            end: Some(Bytes::from_static(b"x")),
            ..KeyRange::all(T)
        },
        group_id,
    }
}

/// A leader, and a follower that applies the same entries.
pub(crate) struct Two {
    pub(crate) leader: Replica,
    pub(crate) follower: Replica,
    pub(crate) toy: Toy,
}

impl Two {
    pub(crate) fn new() -> Self {
        let mut two = Self {
            leader: Replica::new(GROUP),
            follower: Replica::new(GROUP),
            toy: Toy::default(),
        };
        two.apply(Body::Init(vec![range(GROUP, 1)]));
        two
    }

    pub(crate) fn run(&mut self, frames: Vec<Bytes>) -> ScriptRun {
        let seat = ScriptSeat {
            clock: UnixMillis(self.leader.clock),
            seed: 1,
            value_bytes_max: 1 << 20,
            has_room: true,
        };
        let read = self.leader.state.read_state(None);
        let store = &self.leader.store;
        read.run_scripts(frames, store, seat, &mut self.toy, &mut |_| false)
            .unwrap()
    }

    /// The answers of an entry, the same on both.
    pub(crate) fn apply(&mut self, body: Body) -> Vec<Bytes> {
        let first = self.leader.apply(body.clone());
        let second = self.follower.apply(body);
        assert_eq!(first.replies, second.replies);
        assert_eq!(first.changes, second.changes);
        assert_eq!(self.leader.state.encode(), self.follower.state.encode());
        assert_eq!(self.leader.store, self.follower.store);
        first.replies
    }

    pub(crate) fn apply_effects(&mut self, effects: ScriptEffects) -> Vec<Bytes> {
        self.apply(Body::Effects(Box::new(effects)))
    }

    /// The replies of a frame that is run and applied.
    pub(crate) fn now(&mut self, frame: Bytes) -> String {
        let run = self.run(vec![frame]);
        match &run.slots[..] {
            [Slot::InEntry] => {}
            [Slot::Answered(answer)] => return text(answer),
            other => panic!("{other:?}"),
        }
        let answers = self.apply_effects(run.effects.unwrap());
        text(&answers[0])
    }
}

pub(crate) fn text(answer: &Bytes) -> String {
    if is_put_off(answer) {
        return "put off".to_owned();
    }
    match FrameReply::decode(answer.clone()).unwrap() {
        FrameReply::Done(replies) => {
            String::from_utf8_lossy(&replies.concat()).replace("\r\n", " ")
        }
        other => format!("{other:?}"),
    }
}

/// A frame without scripts, of another session.
pub(crate) fn plain(seq: u64, line: &str) -> Bytes {
    let words = line.split(' ');
    let frame = Frame {
        flags: FrameFlags::default(),
        session: SessionId(8),
        seq: FrameSeq(seq),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        wait: None,
        watches: vec![],
        commands: vec![FrameCommand {
            table: T,
            args: words
                .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                .collect(),
        }],
    };
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}
