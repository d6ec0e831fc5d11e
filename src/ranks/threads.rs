//! Ranks that are threads of one process.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::communicator::{Communicator, lost};
use crate::error::Result;

/// How long a rank waits for another one before it takes it for lost.
const PATIENCE: Duration = Duration::from_secs(600);

/// One of several ranks that are threads of this process.
///
/// ```
/// use qeinsum::ranks::{self, Communicator};
/// let told = ranks::in_threads(2, |ranks| match ranks.rank() {
///     0 => ranks.receive(1),
///     _ => ranks.send(0, b"done").map(|()| Vec::new()),
/// });
/// assert_eq!(told[0], Ok(b"done".to_vec()));
/// ```
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    /// To each rank: what is for all, and what is for it alone.
    to: Vec<[Sender<Vec<u8>>; 2]>,
    /// From each rank.
    from: Vec<[Receiver<Vec<u8>>; 2]>,
}

/// Which of the two ways between two ranks.
const ALL: usize = 0;
const ALONE: usize = 1;

/// Runs `work` on so many ranks, each a thread, and gives what each of them made.
///
/// ```
/// use qeinsum::ranks::{self, Communicator};
/// assert_eq!(ranks::in_threads(3, |ranks| (ranks.rank(), ranks.size())), [(0, 3), (1, 3), (2, 3)]);
/// ```
///
/// # Panics
///
/// Where `work` does, on any of them.
pub fn in_threads<R: Send>(size: usize, work: impl Fn(&Threads) -> R + Sync) -> Vec<R> {
    let mut to: Vec<Vec<[Sender<Vec<u8>>; 2]>> = (0..size).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<[Receiver<Vec<u8>>; 2]>> = (0..size).map(|_| Vec::new()).collect();
    for sender in &mut to {
        for receiver in &mut from {
            let [all, alone] = [channel(), channel()];
            sender.push([all.0, alone.0]);
            receiver.push([all.1, alone.1]);
        }
    }
    let ranks = to.into_iter().zip(from).enumerate();
    let ranks: Vec<Threads> = ranks.map(|(rank, (to, from))| Threads { rank, to, from }).collect();
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = ranks.into_iter().map(|rank| scope.spawn(move || work(&rank))).collect();
        running.into_iter().map(|rank| rank.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// One rank, with no other.
///
/// ```
/// use qeinsum::ranks::{self, Communicator};
/// assert_eq!((ranks::alone().rank(), ranks::alone().size()), (0, 1));
/// ```
pub fn alone() -> Threads {
    let [all, alone] = [channel(), channel()];
    Threads { rank: 0, to: vec![[all.0, alone.0]], from: vec![[all.1, alone.1]] }
}

impl Threads {
    fn tell(&self, to: usize, way: usize, bytes: Vec<u8>) -> Result<()> {
        self.to[to][way].send(bytes).map_err(|_| lost(&format!("rank {to} has ended")))
    }

    fn hear(&self, from: usize, way: usize) -> Result<Vec<u8>> {
        self.from[from][way].recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => lost(&format!("rank {from} says nothing")),
            RecvTimeoutError::Disconnected => lost(&format!("rank {from} has ended")),
        })
    }

    /// Makes each number what `join` makes of those in its place.
    fn reduce<T: Copy, const BYTES: usize>(
        &self,
        numbers: &mut [T],
        bytes: impl Fn(T) -> [u8; BYTES],
        number: impl Fn([u8; BYTES]) -> T,
        join: impl Fn(T, T) -> T,
    ) -> Result<()> {
        let own: Vec<u8> = numbers.iter().flat_map(|&number| bytes(number)).collect();
        for (rank, theirs) in self.gather(own)?.into_iter().enumerate() {
            if rank == self.rank {
                continue;
            }
            let (theirs, []) = theirs.as_chunks() else { return Err(lost("numbers are of another width")) };
            if theirs.len() != numbers.len() {
                return Err(lost(&format!("rank {rank} has {} numbers of {}", theirs.len(), numbers.len())));
            }
            numbers.iter_mut().zip(theirs).for_each(|(mine, &other)| *mine = join(*mine, number(other)));
        }
        Ok(())
    }
}

impl Communicator for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) -> Result<()> {
        if root == self.rank {
            return (0..self.size()).filter(|&to| to != root).try_for_each(|to| self.tell(to, ALL, bytes.clone()));
        }
        *bytes = self.hear(root, ALL)?;
        Ok(())
    }

    fn largest(&self, numbers: &mut [u32]) -> Result<()> {
        self.reduce(numbers, u32::to_ne_bytes, u32::from_ne_bytes, u32::max)
    }

    fn add_i32(&self, numbers: &mut [i32]) -> Result<()> {
        self.reduce(numbers, i32::to_ne_bytes, i32::from_ne_bytes, |a, b| a + b)
    }

    fn add_i64(&self, numbers: &mut [i64]) -> Result<()> {
        self.reduce(numbers, i64::to_ne_bytes, i64::from_ne_bytes, |a, b| a + b)
    }

    fn send(&self, to: usize, bytes: &[u8]) -> Result<()> {
        self.tell(to, ALONE, bytes.to_vec())
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>> {
        self.hear(from, ALONE)
    }

    fn poll(&self) -> Result<Option<(usize, Vec<u8>)>> {
        let mut others = (0..self.size()).filter(|&from| from != self.rank);
        Ok(others.find_map(|from| Some((from, self.from[from][ALONE].try_recv().ok()?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_hears_everybody() {
        let heard = in_threads(3, |ranks| {
            let mut largest = [ranks.rank() as u32, 7 - ranks.rank() as u32];
            ranks.largest(&mut largest)?;
            let mut sum = [ranks.rank() as i64 + (1 << 40)];
            ranks.add_i64(&mut sum)?;
            let all = ranks.gather(vec![ranks.rank() as u8; ranks.rank()])?;
            Ok::<_, crate::Error>((largest, sum, all))
        });
        for each in heard {
            let expected = ([2, 7], [3 + (3 << 40)], vec![vec![], vec![1], vec![2, 2]]);
            assert_eq!(each, Ok(expected));
        }
    }

    #[test]
    fn who_ends_is_missed() {
        let heard = in_threads(2, |ranks| if ranks.rank() == 0 { ranks.receive(1) } else { Ok(Vec::new()) });
        assert!(heard[0].as_ref().is_err_and(|error| error.message().contains("rank 1 has ended")));
    }

    #[test]
    fn what_came_is_found() {
        in_threads(3, |ranks| {
            if ranks.rank() > 0 {
                return ranks.send(0, &[ranks.rank() as u8]).unwrap();
            }
            let mut from = Vec::new();
            while from.len() < 2 {
                from.extend(ranks.poll().unwrap().map(|(rank, bytes)| (rank, bytes[0])));
            }
            from.sort_unstable();
            assert_eq!(from, [(1, 1), (2, 2)]);
        });
    }
}
