//! What holds of everything that comes out: errors, plans, files.

use std::fs;
use std::path::{Path, PathBuf};

use qeinsum::io::{self, AnyArray};
use qeinsum::{Dtype, Error, Plan};

/// An error's text is fit for a terminal, and its places are those of characters.
pub(crate) fn error(error: &Error) {
    let text = error.to_string();
    assert!(!error.message().is_empty());
    let raw = text.chars().find(|&c| c != '\n' && (c.is_control() || is_invisible(c)));
    assert!(raw.is_none(), "{raw:?} in {text:?}");
    assert!(text.lines().count() <= 24, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 1000), "{text}");
}

/// Marks of direction and characters without a width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A plan passes its own check, and is the same plan once it was saved and loaded.
pub(crate) fn plan(plan: &Plan) {
    plan.verify().unwrap_or_else(|error| panic!("{error}\n{plan}"));
    let saved = plan.to_json();
    let loaded = Plan::from_json(&saved).unwrap_or_else(|error| panic!("{error}\n{saved}"));
    assert_eq!(&loaded, plan);
    assert_eq!(loaded.to_string(), plan.to_string());
    assert_eq!(loaded.schedule(), plan.schedule());
}

/// Writes a file of this name and has something done with it; it is gone afterwards.
pub(crate) fn with_file<R>(name: &str, bytes: &[u8], act: impl FnOnce(&Path) -> R) -> R {
    struct Removed(PathBuf);

    impl Drop for Removed {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    // In memory where there is such a place: a fuzzer writes thousands of files each second.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = Removed(place.join(format!("qeinsum-fuzz-{}-{number}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join(name);
    fs::write(&path, bytes).unwrap();
    act(&path)
}

/// An array that was read from a file of which no more than `room` bytes can be elements: it is no larger, and the same
/// once it was written and read.
pub(crate) fn array(array: &AnyArray, room: u64) {
    let elements = array.shape().iter().product::<usize>() as u64 * array.dtype().bytes() as u64;
    assert!(elements <= room, "{elements} bytes of elements from {room}");
    let name = if array.dtype() == Dtype::Bf16 { "again.safetensors" } else { "again.npy" };
    with_file(name, b"", |path| {
        io::save(path, array).unwrap();
        let first = fs::read(path).unwrap();
        let again = io::load(path).unwrap();
        assert_eq!((again.dtype(), again.shape()), (array.dtype(), array.shape()));
        io::save(path, &again).unwrap();
        // Bytes, since no NaN equals itself.
        assert!(
            fs::read(path).unwrap() == first,
            "an array of {:?} changes when it is written and read",
            array.shape()
        );
    });
}
