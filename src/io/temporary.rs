//! The new file that a write fills before it takes the target's name.
//!
//! On Linux it has no name until it is whole, so that a process killed while it writes leaves nothing behind. Where the target
//! is not there yet, it then gets that name. Where it is, no system call puts a nameless file in its place, and it has another
//! name for a moment: a hidden one beside the target. Where the system or the file system has no nameless files, it has that
//! name from the beginning; it is removed on failure.
//!
//! A process killed in that moment leaves the hidden name. The next write of the same target removes it, which is why there are
//! few such names for a target, always the same. Whoever has one holds a lock on its file, which ends with its process: what
//! is not locked was left. A name is removed, or found to be another file's, by who holds the lock only.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A new file, gone when dropped.
pub(super) struct Temporary<'t> {
    pub(super) file: File,
    target: &'t Path,
    /// None while it has no name.
    path: Option<PathBuf>,
}

impl<'t> Temporary<'t> {
    /// Makes an empty file in `directory`, which is that of `target`.
    pub(super) fn create(target: &'t Path, directory: &Path) -> io::Result<Self> {
        match nameless(directory) {
            Some(file) => Ok(Self { file, target, path: None }),
            None => Self::create_named(target),
        }
    }

    fn create_named(target: &'t Path) -> io::Result<Self> {
        remove_left(target);
        loop {
            let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
            let (file, path) = under_free_name(target, create)?;
            // Who found it before it was locked took it for one that was left. Where there are no locks, nobody removes it.
            let _ = file.lock();
            if is_named(&file, &path) {
                return Ok(Self { file, target, path: Some(path) });
            }
        }
    }

    /// Gives the file the name of its target, whose old file is gone then.
    pub(super) fn rename(mut self) -> io::Result<()> {
        remove_left(self.target);
        let path = if let Some(path) = &self.path {
            path
        } else {
            match link(&self.file, self.target) {
                // There was none of that name.
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            // Nobody else has it open, so that this waits for nothing; where there are no locks, nobody removes it.
            let _ = self.file.try_lock();
            let ((), path) = under_free_name(self.target, |path| link(&self.file, path))?;
            self.path.insert(path)
        };
        fs::rename(path, self.target)?;
        // That name may already be that of another process's file: it must not be removed.
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing can be done about a failure, and the error that led here is the one to report.
            let _ = fs::remove_file(path);
        }
    }
}

/// A hidden name beside the target.
fn hidden(target: &Path, number: usize) -> PathBuf {
    // FNV-1a: the name of the target may be as long as names can be.
    let name = target.file_name().unwrap_or_default().as_encoded_bytes();
    let hash = name
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    target.with_file_name(format!(".qeinsum-{hash:016x}-{number}.tmp"))
}

/// Calls `make` with hidden names until one is not taken by another writer of the same target.
fn under_free_name<T>(target: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    let mut number = 0;
    loop {
        let path = hidden(target, number);
        match make(&path) {
            Ok(made) => return Ok((made, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Removes what killed writers of this target left.
fn remove_left(target: &Path) {
    /// Those who write one target at a time are few.
    const FEW: usize = 4;
    for number in 0.. {
        let path = hidden(target, number);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if !is_file && number >= FEW {
            return;
        }
        if is_file && let Ok(file) = OpenOptions::new().write(true).open(&path) {
            // Of one that is locked somebody is there still. One that has got the target's name since is not at this one.
            if file.try_lock().is_ok() && is_named(&file, &path) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Whether a file has this name.
#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let [Ok(here), Ok(there)] = [file.metadata(), fs::symlink_metadata(path)] else { return false };
    (here.dev(), here.ino()) == (there.dev(), there.ino())
}

/// Where files cannot be told apart, whoever holds the lock is believed to hold that of the name.
#[cfg(not(unix))]
fn is_named(_: &File, path: &Path) -> bool {
    path.exists()
}

/// A file without a name, where there can be one that [`link`] can name later.
#[cfg(target_os = "linux")]
fn nameless(directory: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    // What `File::create` asks for; the process's mask takes away from it.
    let file = File::from(open(directory, flags, Mode::from_raw_mode(0o666)).ok()?);
    handle(&file).exists().then_some(file)
}

#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    Ok(linkat(CWD, handle(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// The name by which a process's own open file can be linked; absent where `/proc` is not mounted.
#[cfg(target_os = "linux")]
fn handle(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
const fn nameless(_directory: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn link(_file: &File, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::io::scratch::Scratch;

    fn nameless_or_not(target: &Path) -> [io::Result<Temporary<'_>>; 2] {
        [Temporary::create(target, target.parent().unwrap()), Temporary::create_named(target)]
    }

    #[test]
    fn with_and_without_a_name_it_replaces_or_vanishes() {
        let scratch = Scratch::new("temporary");
        let (target, full) = (scratch.path("a"), scratch.path("full"));
        for round in 0..2 {
            for temporary in nameless_or_not(&target) {
                let mut temporary = temporary.unwrap();
                temporary.file.write_all(&[round]).unwrap();
                temporary.rename().unwrap();
                assert_eq!(fs::read(&target).unwrap(), [round]);
            }
            drop(nameless_or_not(&target));
            assert_eq!(scratch.names(), ["a"]);
            // A rename that fails leaves nothing either.
            fs::create_dir(&full).unwrap();
            for temporary in nameless_or_not(&full) {
                temporary.unwrap().rename().unwrap_err();
            }
            assert_eq!(scratch.names(), ["a", "full"]);
            fs::remove_dir(&full).unwrap();
        }
        let nowhere = scratch.path("none").join("a");
        for failed in nameless_or_not(&nowhere) {
            assert_eq!(failed.map(drop).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let scratch = Scratch::new("taken");
        let tried = std::cell::RefCell::new(Vec::new());
        let make = |path: &Path| {
            tried.borrow_mut().push(path.to_owned());
            if tried.borrow().len() < 3 { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
        };
        let target = scratch.path("a");
        let ((), path) = under_free_name(&target, make).unwrap();
        assert_eq!(path, hidden(&target, 2));
        assert_eq!(tried.into_inner(), [0, 1, 2].map(|number| hidden(&target, number)));
        assert_ne!(hidden(&target, 0), hidden(&scratch.path("b"), 0));
    }

    #[cfg(unix)]
    #[test]
    fn what_was_left_is_removed_and_what_is_in_use_stays() {
        let scratch = Scratch::new("left");
        let target = scratch.path("a");
        for existing in [false, true] {
            for way in 0..2 {
                let make = || match way {
                    0 => Temporary::create(&target, &scratch.path("")).unwrap(),
                    _ => Temporary::create_named(&target).unwrap(),
                };
                // Two that were left, one that a writer has, and names that are no files of ours.
                for number in [0, 1, 3] {
                    fs::write(hidden(&target, number), b"left").unwrap();
                }
                let taken = File::options().write(true).create_new(true).open(hidden(&target, 2)).unwrap();
                taken.lock().unwrap();
                fs::create_dir(hidden(&target, 4)).unwrap();
                fs::write(hidden(&scratch.path("b"), 0), b"of another").unwrap();
                make().rename().unwrap();
                let mut names = vec![".qeinsum-af63dc4c8601ec8c-2.tmp", ".qeinsum-af63dc4c8601ec8c-4.tmp"];
                names.extend([".qeinsum-af63df4c8601f1a5-0.tmp", "a"]);
                assert_eq!(scratch.names(), names, "{existing} {way}");
                drop(taken);
                fs::remove_dir(hidden(&target, 4)).unwrap();
                fs::remove_file(hidden(&scratch.path("b"), 0)).unwrap();
                make().rename().unwrap();
                assert_eq!(scratch.names(), ["a"]);
                if !existing {
                    fs::remove_file(&target).unwrap();
                }
            }
            fs::write(&target, b"old").unwrap();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_seen_while_it_is_written() {
        let scratch = Scratch::new("nameless");
        let target = scratch.path("a");
        let mut temporary = Temporary::create(&target, &scratch.path("")).unwrap();
        temporary.file.write_all(&vec![1; 1 << 20]).unwrap();
        if temporary.path.is_none() {
            assert!(scratch.names().is_empty());
        }
        temporary.rename().unwrap();
        assert_eq!(scratch.names(), ["a"]);
    }
}
