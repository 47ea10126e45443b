//! Calls that have to do with time, and with waiting for another context.

use crate::{
    abi::{self, Answer, Errno},
    kernel::{AddressSpace, After, Kernel, Wait},
    memory::words,
};
use anyhow::Result;
use std::{
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

/// Seconds in 8 bytes, nanoseconds in 4, and 4 of padding.
const TIME_SIZE: usize = 16;

/// How long the machine seems to have been running at the start: who takes a time for a length waits for an hour.
const UPTIME: Duration = Duration::from_secs(3600);

impl Kernel {
    pub(crate) fn clock_gettime(&mut self, id: usize, clock: usize, to: usize) -> Answer {
        let time = match clock {
            abi::CLOCK_REALTIME => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
            abi::CLOCK_MONOTONIC => UPTIME + self.begun.elapsed(),
            _ => return Err(Errno::EINVAL),
        };
        let mut bytes = time.as_secs().to_le_bytes().to_vec();
        bytes.extend(u64::from(time.subsec_nanos()).to_le_bytes());
        let space = self.space(id);
        space
            .borrow()
            .process
            .write(to, &bytes)
            .ok_or(Errno::EFAULT)
            .map(|()| 0)
    }

    pub(crate) fn nanosleep(&mut self, id: usize, request: usize) -> After {
        let space = self.space(id);
        match time_at(&space.borrow(), request) {
            Err(error) => After::Answer(Err(error)),
            Ok(time) => After::Wait(Wait {
                word: None,
                until: Some(Instant::now() + time),
                late: Ok(0),
            }),
        }
    }

    /// Waits for, or wakes, those at a word. A time-out is a time of the monotonic clock, not a length.
    pub(crate) fn futex(
        &mut self,
        id: usize,
        at: usize,
        operation: usize,
        value: usize,
        timeout: usize,
    ) -> Result<After> {
        let shared = self.space(id);
        let space = shared.borrow();
        // The kernel faults the page in, for writing, before it looks at it.
        match space.model.access(at) {
            Some(access) if access.write => {}
            _ => return Ok(After::Answer(Err(Errno::EFAULT))),
        }
        let word = (Rc::as_ptr(&shared).addr(), at);
        let (size, expected) = match operation {
            abi::futex::WAIT => (4, value & 0xffff_ffff),
            abi::futex::WAIT64 => (8, value),
            abi::futex::WAKE => {
                drop(space);
                return Ok(After::Answer(Ok(self.wake_at(word, value)?)));
            }
            _ => return Ok(After::Answer(Err(Errno::EINVAL))),
        };
        Ok(match check(&space, at, size, expected, timeout) {
            Err(error) => After::Answer(Err(error)),
            Ok(time) => After::Wait(Wait {
                word: Some(word),
                until: time.map(|time| self.begun + time.saturating_sub(UPTIME)),
                late: Err(Errno::ETIMEDOUT),
            }),
        })
    }

    fn wake_at(&mut self, word: (usize, usize), most: usize) -> Result<usize> {
        let waits = |wait: &Option<Wait>| wait.as_ref().is_some_and(|wait| wait.word == Some(word));
        let waiting = self
            .contexts
            .iter()
            .filter(|(_, context)| waits(&context.waits));
        let chosen: Vec<_> = waiting.map(|(&id, _)| id).take(most).collect();
        for &id in &chosen {
            self.wake(id, Ok(0))?;
        }
        Ok(chosen.len())
    }
}

/// Whether a context is to wait, and until when.
fn check(
    space: &AddressSpace,
    at: usize,
    size: usize,
    expected: usize,
    timeout: usize,
) -> Result<Option<Duration>, Errno> {
    let time = match timeout {
        0 => None,
        at => Some(time_at(space, at)?),
    };
    if !at.is_multiple_of(size) {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; 8];
    space
        .process
        .read(at, &mut bytes[..size])
        .ok_or(Errno::EFAULT)?;
    match words::<1>(&bytes) == [expected] {
        true => Ok(time),
        false => Err(Errno::EAGAIN),
    }
}

fn time_at(space: &AddressSpace, at: usize) -> Result<Duration, Errno> {
    let mut bytes = [0; TIME_SIZE];
    space.process.read(at, &mut bytes).ok_or(Errno::EFAULT)?;
    let [seconds, rest] = words(&bytes);
    match u32::try_from(rest & 0xffff_ffff) {
        Ok(nanoseconds @ 0..1_000_000_000) => Ok(Duration::new(seconds as u64, nanoseconds)),
        _ => Err(Errno::EINVAL),
    }
}
