//! Folders to run the binary in, and what it did there.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ndarray::{ArrayD, IxDyn};
use qeinsum::io::{self, AnyArray};

/// A folder of its own for each test, removed in the end.
pub(crate) struct Folder(PathBuf);

/// What a process did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Folder {
    /// An empty folder.
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("qeinsum-cli-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// One with `a.npy` (3x4), `b.npy` (4x5) and `c.npy` (5x2) of f32, `x.npy` (3x4) of f64, and `s.npy`, a scalar.
    pub(crate) fn with_arrays(test: &str) -> Self {
        let folder = Self::new(test);
        folder.save("a.npy", values(&[3, 4], 1));
        folder.save("b.npy", values(&[4, 5], 2));
        folder.save("c.npy", values(&[5, 2], 3));
        folder.save("x.npy", values(&[3, 4], 4).mapv(f64::from));
        folder.save("s.npy", values(&[], 5));
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn save(&self, name: &str, array: impl Into<AnyArray>) {
        io::save(self.path(name), &array.into()).unwrap();
    }

    pub(crate) fn load(&self, name: &str) -> AnyArray {
        io::load(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs the binary in the folder.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        self.run_with(arguments, b"")
    }

    /// The same with something on standard input.
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, arguments: &[S], stdin: &[u8]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qeinsum"));
        command.args(arguments);
        self.spawn(command, stdin)
    }

    /// Runs it where no process may have more address space than 1 GiB, so that it fails to take what a file claims.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_confined(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 1048576 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_qeinsum")]).args(arguments);
        self.spawn(command, b"")
    }

    fn spawn(&self, mut command: Command, stdin: &[u8]) -> Ran {
        let mut child = command
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who does not read it closes it.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let done = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ran { code: done.status.code().unwrap_or(-1), stdout: done.stdout, stderr }
    }

    /// Runs lines of arguments, split at spaces, and puts down all that was printed, for a snapshot.
    pub(crate) fn session(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let ran = self.run(&line.split_whitespace().collect::<Vec<_>>());
            let _ = write!(text, "$ qeinsum {line}\n{}{}", ran.out(), ran.stderr);
            if ran.code != 0 {
                let _ = writeln!(text, "[exit {}]", ran.code);
            }
            text.push('\n');
        }
        text
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_slice(&self.stdout).unwrap()
    }

    /// Checks that it was done, and that nothing was said about it.
    pub(crate) fn done(&self) -> &Self {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""));
        self
    }

    /// Checks the exit code and that the diagnostic, which fits a screen and is safe to show, says this.
    pub(crate) fn refused(&self, code: i32, expected: &str) -> &Self {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.contains(expected), "{expected} is not in: {}", self.stderr);
        assert!(self.stdout.is_empty() && self.stderr.starts_with("error: "), "{}", self.stderr);
        assert!(self.stderr.lines().count() <= 24, "{}", self.stderr);
        assert!(!self.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", self.stderr);
        self
    }
}

/// Values that look random: small, of either sign.
pub(crate) fn values(shape: &[usize], seed: u32) -> ArrayD<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9).wrapping_add(1);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// A path as an argument.
pub(crate) fn argument(path: &Path) -> &str {
    path.to_str().unwrap()
}
