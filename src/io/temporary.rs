//! The new file that a write fills before it takes the target's name.
//!
//! On Linux it has no name until it is whole, so that a process killed while it writes leaves nothing behind. Where
//! the system or the file system has no such files, it is a hidden file beside the target, removed on failure.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A new file, gone when dropped.
pub(super) struct Temporary {
    pub(super) file: File,
    directory: PathBuf,
    /// None while it has no name.
    path: Option<PathBuf>,
}

impl Temporary {
    /// Makes an empty file in `directory`.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        if let Some(file) = nameless(directory) {
            return Ok(Self { file, directory: directory.to_owned(), path: None });
        }
        Self::create_named(directory)
    }

    fn create_named(directory: &Path) -> io::Result<Self> {
        let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
        let (file, path) = under_free_name(directory, create)?;
        Ok(Self { file, directory: directory.to_owned(), path: Some(path) })
    }

    /// Gives the file the name `target`, whose old file is gone then.
    pub(super) fn rename(mut self, target: &Path) -> io::Result<()> {
        let path = if let Some(path) = &self.path {
            path
        } else {
            // No system call puts a nameless file over another, so it gets a name of its own for a moment.
            let ((), path) = under_free_name(&self.directory, |path| link(&self.file, path))?;
            self.path.insert(path)
        };
        fs::rename(path, target)?;
        // That name may already be that of another process's file: it must not be removed.
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing can be done about a failure, and the error that led here is the one to report.
            let _ = fs::remove_file(path);
        }
    }
}

/// Calls `make` with names in `directory` until one is not taken.
fn under_free_name<T>(directory: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".qeinsum-{}-{serial}.tmp", std::process::id()));
        match make(&path) {
            Ok(made) => return Ok((made, path)),
            // Left by a killed process that had the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
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

    #[test]
    fn with_and_without_a_name_it_replaces_or_vanishes() {
        let scratch = Scratch::new("temporary");
        let directory = scratch.path("");
        for create in [Temporary::create, Temporary::create_named] {
            let mut temporary = create(&directory).unwrap();
            temporary.file.write_all(b"new").unwrap();
            temporary.rename(&scratch.path("a")).unwrap();
            assert_eq!(fs::read(scratch.path("a")).unwrap(), b"new");
            drop(create(&directory).unwrap());
            assert_eq!(scratch.names(), ["a"]);
            // A rename that fails leaves nothing either.
            fs::create_dir(scratch.path("full")).unwrap();
            create(&directory).unwrap().rename(&scratch.path("full")).unwrap_err();
            assert_eq!(scratch.names(), ["a", "full"]);
            fs::remove_dir(scratch.path("full")).unwrap();
        }
        assert_eq!(create_fails(&scratch.path("none")), io::ErrorKind::NotFound);
    }

    fn create_fails(directory: &Path) -> io::ErrorKind {
        Temporary::create(directory).map(drop).unwrap_err().kind()
    }

    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let scratch = Scratch::new("taken");
        let tried = std::cell::Cell::new(0);
        let make = |_: &Path| {
            tried.set(tried.get() + 1);
            if tried.get() < 3 { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
        };
        under_free_name(&scratch.path(""), make).unwrap();
        assert_eq!(tried.get(), 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_seen_while_it_is_written() {
        let scratch = Scratch::new("nameless");
        let mut temporary = Temporary::create(&scratch.path("")).unwrap();
        temporary.file.write_all(&vec![1; 1 << 20]).unwrap();
        if temporary.path.is_none() {
            assert!(scratch.names().is_empty());
        }
        temporary.rename(&scratch.path("a")).unwrap();
        assert_eq!(scratch.names(), ["a"]);
    }
}
