//! Files written whole or not at all.
//!
//! The bytes go to a new file in the target's directory, which is synced and then renamed over it: a reader sees the
//! old file or the new one, and an input may be the output. On any failure the new file is gone and the old one
//! stays.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::array::AnyArray;
use super::error::FileError;
use super::source::Format;
use super::temporary::Temporary;
use super::{npy, safetensors};
use crate::dtype::Dtype;
use crate::error::Error;

/// The name of the tensor in a `.safetensors` file that holds one array.
const ONLY: &str = "out";

/// Says now what would keep [`save`] from writing an array of `dtype` to `path`, as far as it can be known.
///
/// An unknown extension and a dtype that the format lacks are of kind `File`; a missing directory and a read-only
/// file are of kind `Machine`.
///
/// ```
/// use qeinsum::{Dtype, ErrorKind, io};
/// let error = io::check_output("out.npy", Dtype::Bf16).unwrap_err();
/// assert_eq!(error.kind(), &ErrorKind::File);
/// assert_eq!(error.message(), "`out.npy`: this format has no bf16; write to `.safetensors` instead");
/// ```
pub fn check_output(path: impl AsRef<Path>, dtype: Dtype) -> Result<(), Error> {
    let path = path.as_ref();
    output(path, dtype).map(drop).map_err(|error| error.of(path))
}

/// Writes `array` to `path`: `.npy`, `.safetensors` (as tensor `out`), or `-` for `.npy` on standard output.
///
/// ```
/// use qeinsum::io::{self, AnyArray};
/// # let path = std::env::temp_dir().join(format!("qeinsum-save-doc-{}.npy", std::process::id()));
/// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()))?;
/// assert_eq!(io::load(&path)?.shape(), [1, 2]);
/// // A path whose extension says no format is refused before anything is written.
/// assert!(io::save("out.txt", &io::load(&path)?).is_err());
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn save(path: impl AsRef<Path>, array: &AnyArray) -> Result<(), Error> {
    let path = path.as_ref();
    let written = output(path, array.dtype()).and_then(|output| match output {
        Output::Stdout => {
            let mut out = io::stdout().lock();
            npy::write(&mut out, array).and_then(|()| out.flush()).map_err(FileError::writing)
        }
        Output::Npy(target) => target.replace(|out| npy::write(out, array)),
        Output::Safetensors(target) => {
            target.replace(|out| safetensors::write(out, &[(ONLY, array)], &BTreeMap::new()))
        }
    });
    written.map_err(|error| error.of(path))
}

/// Writes named tensors and metadata to one `.safetensors` file. The same arguments give the same bytes.
///
/// ```
/// use qeinsum::io::{self, AnyArray};
/// let path = std::env::temp_dir().join(format!("qeinsum-tensors-doc-{}.safetensors", std::process::id()));
/// let w = AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn());
/// let b = AnyArray::F32(ndarray::arr1(&[0.5]).into_dyn());
/// let about = [("made by".to_owned(), "an example".to_owned())].into();
/// io::save_tensors(&path, &[("layer/w", &w), ("layer/b", &b)], &about)?;
/// assert_eq!(io::load(format!("{}:layer/b", path.display()))?, b);
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn save_tensors(
    path: impl AsRef<Path>,
    tensors: &[(&str, &AnyArray)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let path = path.as_ref();
    let written = match Format::of(path) {
        Some(Format::Safetensors) => safetensors::check(tensors)
            .and_then(|()| Target::of(path)?.replace(|out| safetensors::write(out, tensors, metadata))),
        _ => Err(FileError::Extension { known: "`.safetensors`" }),
    };
    written.map_err(|error| error.of(path))
}

/// Says now what would keep a `.safetensors` file from being written to `path`, as far as it can be known.
///
/// ```
/// use qeinsum::io;
/// assert!(io::check_tensors_output("gradients.npy").is_err()); // a format of one array
/// assert!(io::check_tensors_output("gradients.safetensors").is_ok());
/// ```
pub fn check_tensors_output(path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let checked = match Format::of(path) {
        Some(Format::Safetensors) => Target::of(path).map(drop),
        _ => Err(FileError::Extension { known: "`.safetensors`" }),
    };
    checked.map_err(|error| error.of(path))
}

/// Says now what would keep [`write_whole`] from writing to `path`, as far as it can be known.
///
/// ```
/// use qeinsum::{ErrorKind, io};
/// let error = io::check_whole("no-such-folder/plan.txt").unwrap_err();
/// assert_eq!(error.kind(), &ErrorKind::Machine);
/// ```
pub fn check_whole(path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    Target::of(path).map(drop).map_err(|error| error.of(path))
}

/// Writes any file whole or not at all: `write` fills it, and its error leaves the old file as it was.
///
/// ```
/// use qeinsum::io;
/// use std::io::Write as _;
///
/// let path = std::env::temp_dir().join(format!("qeinsum-whole-doc-{}.txt", std::process::id()));
/// io::write_whole(&path, |out| out.write_all(b"a plan"))?;
/// assert!(io::write_whole(&path, |_| Err(std::io::ErrorKind::StorageFull.into())).is_err());
/// assert_eq!(std::fs::read(&path).unwrap(), b"a plan");
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn write_whole(path: impl AsRef<Path>, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let path = path.as_ref();
    Target::of(path).and_then(|target| target.replace(write)).map_err(|error| error.of(path))
}

enum Output {
    Stdout,
    Npy(Target),
    Safetensors(Target),
}

fn output(path: &Path, dtype: Dtype) -> Result<Output, FileError> {
    let stdout = path.as_os_str() == "-";
    match Format::of(path) {
        Some(Format::Safetensors) if safetensors::file_dtype(dtype).is_some() => {
            Ok(Output::Safetensors(Target::of(path)?))
        }
        Some(Format::Safetensors) => Err(FileError::NoSuchElement { dtype, instead: "`.npy`" }),
        _ if stdout && npy::descr(dtype).is_some() => Ok(Output::Stdout),
        Some(Format::Npy) if npy::descr(dtype).is_some() => Ok(Output::Npy(Target::of(path)?)),
        Some(Format::Npy) => Err(FileError::NoSuchElement { dtype, instead: "`.safetensors`" }),
        _ if stdout => Err(FileError::NoSuchElement { dtype, instead: "`.safetensors`" }),
        _ => Err(FileError::Extension { known: "`.npy`, `.safetensors`, and `-` for .npy on standard output" }),
    }
}

/// A file to be replaced or made.
struct Target {
    path: PathBuf,
    directory: PathBuf,
    /// Those of the file that is there.
    permissions: Option<Permissions>,
}

impl Target {
    fn of(path: &Path) -> Result<Self, FileError> {
        let os = |error| FileError::Os { doing: "write", error };
        let (path, permissions) = match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => return Err(FileError::NotRegular),
            // A rename would replace it all the same, which is not what its owner wants.
            Ok(metadata) if metadata.permissions().readonly() => {
                return Err(os(io::ErrorKind::PermissionDenied.into()));
            }
            // Through a symbolic link, so that the link stays one.
            Ok(metadata) => (fs::canonicalize(path).map_err(os)?, Some(metadata.permissions())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
            Err(error) => return Err(os(error)),
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let metadata =
            fs::metadata(&directory).map_err(|error| FileError::Os { doing: "find its directory", error })?;
        if metadata.is_dir() {
            Ok(Self { path, directory, permissions })
        } else {
            Err(os(io::ErrorKind::NotADirectory.into()))
        }
    }

    fn replace(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), FileError> {
        self.try_replace(write).map_err(FileError::writing)
    }

    fn try_replace(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let temporary = Temporary::create(&self.path, &self.directory)?;
        let mut out = BufWriter::new(&temporary.file);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        if let Some(permissions) = self.permissions {
            temporary.file.set_permissions(permissions)?;
        }
        temporary.file.sync_all()?;
        temporary.rename()?;
        // The rename itself reaches the disk with its directory. Not every system can sync one, and the file is
        // whole under either name, so a failure changes nothing that was promised.
        let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use ndarray::{ArrayD, arr1};

    use super::*;
    use crate::error::ErrorKind;
    use crate::io::load;
    use crate::io::scratch::Scratch;

    fn some() -> AnyArray {
        arr1(&[1.0_f32, 2.0]).into_dyn().into()
    }

    #[test]
    fn a_failing_write_leaves_the_old_file_and_nothing_else() {
        let scratch = Scratch::new("failing");
        let path = scratch.path("a.txt");
        let fail = |out: &mut dyn Write| {
            // More than any buffer holds, so that part of it is in the file.
            out.write_all(&vec![7; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = write_whole(&path, fail).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Machine);
        assert!(error.message().contains("cannot write: no storage space"), "{error}");
        assert!(scratch.names().is_empty());
        write_whole(&path, |out| out.write_all(b"old")).unwrap();
        write_whole(&path, fail).unwrap_err();
        let panicked = std::panic::catch_unwind(|| write_whole(scratch.path("a.txt"), |_| panic!("in the writer")));
        assert!(panicked.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(scratch.names(), ["a.txt"]);
    }

    #[test]
    fn an_output_may_be_an_input() {
        let scratch = Scratch::new("in-place");
        for name in ["a.npy", "a.safetensors"] {
            let path = scratch.path(name);
            save(&path, &some()).unwrap();
            let opened = crate::io::open(&path).unwrap();
            save(&path, &arr1(&[9.0_f64]).into_dyn().into()).unwrap();
            // What was opened before the write is still whole.
            assert_eq!(opened.read().unwrap(), some());
            assert_eq!(load(&path).unwrap(), arr1(&[9.0_f64]).into_dyn().into());
        }
        assert_eq!(scratch.names(), ["a.npy", "a.safetensors"]);
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let scratch = Scratch::new("check");
        fs::create_dir(scratch.path("d.npy")).unwrap();
        fs::write(scratch.path("f"), b"").unwrap();
        let tests: &[(&str, Dtype, Option<ErrorKind>, &str)] = &[
            ("a.npy", Dtype::F32, None, ""),
            ("a.safetensors", Dtype::Bf16, None, ""),
            ("a.npy", Dtype::Bf16, Some(ErrorKind::File), "no bf16; write to `.safetensors`"),
            ("a.safetensors", Dtype::C32, None, ""),
            ("a.npy", Dtype::C64, None, ""),
            ("a.safetensors", Dtype::C64, Some(ErrorKind::File), "no c64; write to `.npy`"),
            ("a.npz", Dtype::F32, Some(ErrorKind::File), "there are `.npy`, `.safetensors`"),
            ("a", Dtype::F32, Some(ErrorKind::File), "there are `.npy`, `.safetensors`"),
            ("d.npy", Dtype::F32, Some(ErrorKind::File), "not a regular file"),
            ("none/a.npy", Dtype::F32, Some(ErrorKind::Machine), "cannot find its directory: "),
            ("f/a.npy", Dtype::F32, Some(ErrorKind::Machine), "cannot write: "),
        ];
        for (name, dtype, kind, expected) in tests {
            let path = scratch.path(name);
            let array = some().cast(*dtype).unwrap();
            match (check_output(&path, *dtype), kind) {
                (Ok(()), None) => save(&path, &array).unwrap(),
                (Err(error), Some(kind)) => {
                    assert_eq!(error.kind(), kind, "{name}");
                    assert!(error.message().contains(expected), "{error}");
                    assert_eq!(save(&path, &array).unwrap_err(), error);
                }
                (result, _) => panic!("{name}: {result:?}"),
            }
        }
        assert!(check_output("-", Dtype::F64).is_ok());
        assert_eq!(check_output("-", Dtype::Bf16).unwrap_err().kind(), &ErrorKind::File);
        assert_eq!(scratch.names(), ["a.npy", "a.safetensors", "d.npy", "f"]);
    }

    #[test]
    fn tensors_go_to_safetensors_only() {
        let scratch = Scratch::new("tensors");
        let (a, b) = (some(), AnyArray::from(arr1(&[bf16::ONE]).into_dyn()));
        let path = scratch.path("g.safetensors");
        save_tensors(&path, &[("out", &a), ("d0", &b)], &BTreeMap::new()).unwrap();
        assert_eq!(load(format!("{}:d0", path.display())).unwrap(), b);
        let error = save_tensors(&path, &[("a", &a), ("a", &b)], &BTreeMap::new()).unwrap_err();
        assert_eq!((error.kind(), scratch.names().len()), (&ErrorKind::File, 1));
        let wide = a.clone().cast(Dtype::C64).unwrap();
        let error = save_tensors(&path, &[("a", &a), ("b", &wide)], &BTreeMap::new()).unwrap_err();
        assert!(error.message().ends_with("this format has no c64; write to `.npy` instead"), "{error}");
        let error = save_tensors(scratch.path("g.npy"), &[("a", &a)], &BTreeMap::new()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::File);
    }

    #[test]
    fn writers_of_one_file_do_not_meet() {
        let scratch = Scratch::new("threads");
        let path = scratch.path("a.npy");
        std::thread::scope(|scope| {
            for value in 0_u8..4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..5 {
                        save(path, &ArrayD::from_elem(vec![5000], f32::from(value)).into()).unwrap();
                    }
                });
            }
        });
        let AnyArray::F32(last) = load(&path).unwrap() else { panic!("another dtype") };
        assert!(last.iter().all(|value| *value == last[[0]]));
        assert_eq!(scratch.names(), ["a.npy"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let scratch = Scratch::new("links");
        let (path, link) = (scratch.path("a.npy"), scratch.path("l.npy"));
        fs::write(&path, b"").unwrap();
        symlink(&path, &link).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        save(&link, &some()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(load(&path).unwrap(), some());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
        let error = save(&path, &some()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Machine);
        assert!(error.message().contains("cannot write: permission denied"), "{error}");
    }
}
