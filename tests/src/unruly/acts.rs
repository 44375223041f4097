//! The acts of unruly clients, one per connection.

use std::thread::sleep;
use std::time::Duration;

use super::requests;
use super::socket::Unread;
use super::tally::Tally;
use crate::resp::encode;
use crate::rng::Rng;

/// The longest stall in the middle of an act.
const STALL_MS_MAX: usize = 1_500;

/// The most commands of a conversation.
const COMMANDS_MAX: usize = 60;

/// The most reads in a pipeline, of a megabyte each.
const READS_MAX: usize = 60;

/// An act of an unruly client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Sends commands and reads all replies.
    Converse,
    /// Sends commands, closes the sending half, and reads the replies that still come.
    HalfClose,
    /// Sends commands, and resets the connection before the replies have come.
    Reset,
    /// Sends part of a request; sometimes the rest after a while, sometimes never.
    CutShort,
    /// Sends bytes that are no commands.
    Malformed,
    /// Sends reads of large values, and reads no replies for a while.
    StopReading,
    /// Sends reads of large values, and reads the replies in small pieces.
    ReadSlowly,
    /// Sends MULTI and commands, and then nothing, EXEC or DISCARD.
    OpenTransaction,
    /// Sends KEYS, DBSIZE or SCAN, and reads the replies or leaves.
    Walk,
    /// Sends WAIT for replicas that do not exist, and resets the connection.
    WaitAndLeave,
    /// Sends CLIENT PAUSE for a moment.
    Pause,
}

impl Act {
    /// A random act; common acts are more likely.
    pub(super) fn pick(rng: &mut Rng, may_pause: bool) -> Self {
        match rng.below(100) {
            0..24 => Self::Converse,
            24..34 => Self::HalfClose,
            34..44 => Self::Reset,
            44..54 => Self::CutShort,
            54..64 => Self::Malformed,
            64..72 => Self::StopReading,
            72..78 => Self::ReadSlowly,
            78..86 => Self::OpenTransaction,
            86..94 => Self::Walk,
            94..97 => Self::WaitAndLeave,
            _ if may_pause => Self::Pause,
            _ => Self::Converse,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Converse => "converse",
            Self::HalfClose => "half-close",
            Self::Reset => "reset",
            Self::CutShort => "cut-short",
            Self::Malformed => "malformed",
            Self::StopReading => "stop-reading",
            Self::ReadSlowly => "read-slowly",
            Self::OpenTransaction => "open-transaction",
            Self::Walk => "walk",
            Self::WaitAndLeave => "wait-and-leave",
            Self::Pause => "pause",
        }
    }

    pub(super) fn run(self, addr: &str, rng: &mut Rng, tally: &mut Tally) -> anyhow::Result<()> {
        match self {
            Self::Converse => converse(addr, rng, tally, false),
            Self::HalfClose => converse(addr, rng, tally, true),
            Self::Reset => reset(addr, rng),
            Self::CutShort => cut_short(addr, rng),
            Self::Malformed => malformed(addr, rng),
            Self::StopReading => stop_reading(addr, rng, tally),
            Self::ReadSlowly => read_slowly(addr, rng, tally),
            Self::OpenTransaction => open_transaction(addr, rng),
            Self::Walk => walk(addr, rng, tally),
            Self::WaitAndLeave => wait_and_leave(addr),
            Self::Pause => pause(addr, rng, tally),
        }
    }
}

fn stall(rng: &mut Rng) {
    sleep(Duration::from_millis(rng.below(STALL_MS_MAX) as u64));
}

/// Ends the connection, half the time with a reset.
fn leave(socket: Unread, rng: &mut Rng) -> anyhow::Result<()> {
    if rng.percent(50) {
        return socket.reset();
    }
    Ok(())
}

/// Waits for the due replies; records a failure if they do not come.
fn expect_replies(socket: &mut Unread, due: u64, act: Act, tally: &mut Tally) {
    let had = socket.read_replies(due);
    take_note(socket, had, due, act, tally);
}

fn take_note(socket: &Unread, had: anyhow::Result<bool>, due: u64, act: Act, tally: &mut Tally) {
    tally.replies += socket.replies;
    for line in &socket.errors {
        tally.error(line);
    }
    let why = match had {
        Ok(true) => return,
        // A redis-server closes a half-closed connection without sending all replies. The proxy
        // does so when CLIENT PAUSE holds its command back, and when its commands make no progress
        // for half a second. Unread requests make that close a reset.
        Ok(false) if act == Act::HalfClose => return,
        Err(error) if act == Act::HalfClose && is_reset(&error) => return,
        Ok(false) => "the other side closed".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let (name, had) = (act.name(), socket.replies);
    tally
        .unanswered
        .push(format!("{name}: {had} of {due} replies: {why}"));
}

fn is_reset(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

fn converse(addr: &str, rng: &mut Rng, tally: &mut Tally, half: bool) -> anyhow::Result<()> {
    let len = 1 + rng.below(COMMANDS_MAX);
    let (bytes, due) = requests::conversation(rng, len);
    let mut socket = Unread::open(addr, false)?;
    let had = socket.exchange(&bytes, due, half);
    let act = if half { Act::HalfClose } else { Act::Converse };
    take_note(&socket, had, due, act, tally);
    Ok(())
}

fn reset(addr: &str, rng: &mut Rng) -> anyhow::Result<()> {
    let (bytes, _) = requests::conversation(rng, COMMANDS_MAX);
    let mut socket = Unread::open(addr, false)?;
    socket.send(&bytes)?;
    if rng.percent(50) {
        // Some replies are in flight by then.
        let mut piece = [0; 512];
        socket.read(&mut piece)?;
    }
    socket.reset()
}

fn cut_short(addr: &str, rng: &mut Rng) -> anyhow::Result<()> {
    let (mut bytes, _) = requests::conversation(rng, 4);
    let cut = rng.below(bytes.len().max(1));
    let rest = bytes.split_off(cut);
    let mut socket = Unread::open(addr, false)?;
    socket.send(&bytes)?;
    stall(rng);
    if rng.percent(50) {
        socket.send(&rest)?;
    } else if rng.percent(50) {
        socket.finish_sending()?;
    }
    leave(socket, rng)
}

fn malformed(addr: &str, rng: &mut Rng) -> anyhow::Result<()> {
    let bytes = requests::malformed(rng);
    let mut socket = Unread::open(addr, false)?;
    socket.send(&bytes)?;
    // The server closes, or waits for the rest of an announced request.
    socket.read_for(Duration::from_millis(rng.below(400) as u64 + 1))?;
    leave(socket, rng)
}

fn stop_reading(addr: &str, rng: &mut Rng, tally: &mut Tally) -> anyhow::Result<()> {
    let times = 1 + rng.below(READS_MAX);
    let bytes = requests::reads(rng, times);
    let mut socket = Unread::open(addr, true)?;
    socket.send(&bytes)?;
    stall(rng);
    if rng.percent(30) {
        expect_replies(&mut socket, times as u64, Act::StopReading, tally);
        return Ok(());
    }
    leave(socket, rng)
}

fn read_slowly(addr: &str, rng: &mut Rng, tally: &mut Tally) -> anyhow::Result<()> {
    let times = 1 + rng.below(4) as u64;
    let bytes = requests::reads(rng, times as usize);
    let mut socket = Unread::open(addr, true)?;
    socket.send(&bytes)?;
    let mut piece = vec![0; 32 << 10];
    for _ in 0..rng.below(60) {
        if socket.replies == times || !socket.read(&mut piece)? {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    expect_replies(&mut socket, times, Act::ReadSlowly, tally);
    Ok(())
}

fn open_transaction(addr: &str, rng: &mut Rng) -> anyhow::Result<()> {
    let mut bytes = requests::open_transaction(rng);
    match rng.below(4) {
        0 => encode(&mut bytes, &["EXEC"]),
        1 => encode(&mut bytes, &["DISCARD"]),
        _ => {}
    }
    let mut socket = Unread::open(addr, false)?;
    socket.send(&bytes)?;
    socket.read_for(Duration::from_millis(rng.below(300) as u64 + 1))?;
    leave(socket, rng)
}

fn walk(addr: &str, rng: &mut Rng, tally: &mut Tally) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let times = 1 + rng.below(4) as u64;
    for _ in 0..times {
        bytes.extend(requests::walk(rng));
    }
    let mut socket = Unread::open(addr, false)?;
    socket.send(&bytes)?;
    if rng.percent(50) {
        expect_replies(&mut socket, times, Act::Walk, tally);
        return Ok(());
    }
    leave(socket, rng)
}

fn wait_and_leave(addr: &str) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    encode(&mut bytes, &["SET", "unruly:waited", "1"]);
    encode(&mut bytes, &["WAIT", "9", "20000"]);
    let mut socket = Unread::open(addr, false)?;
    socket.send(&bytes)?;
    socket.read_replies(1)?;
    socket.reset()
}

fn pause(addr: &str, rng: &mut Rng, tally: &mut Tally) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let millis = (1 + rng.below(80)).to_string();
    let kind = rng.pick(&["ALL", "WRITE"]);
    encode(&mut bytes, &["CLIENT", "PAUSE", &millis, kind]);
    encode(&mut bytes, &["SET", "unruly:paused", &millis]);
    let mut socket = Unread::open(addr, false)?;
    socket.send(&bytes)?;
    if rng.percent(50) {
        expect_replies(&mut socket, 2, Act::Pause, tally);
        return Ok(());
    }
    leave(socket, rng)
}
