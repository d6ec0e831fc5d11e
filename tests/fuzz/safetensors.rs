//! Files of tensors.

use qeinsum::Frozen;
use qeinsum::io::Source;

use super::sound;

/// Reads the only tensor of a file, and the one called `a`.
pub(crate) fn check(bytes: &[u8]) {
    sound::with_file("a.safetensors", bytes, |path| {
        for name in [None, Some("a".to_owned())] {
            match (Source::Safetensors { path: path.to_owned(), name }).open() {
                Ok(opened) => {
                    let header = opened.header().clone();
                    let array = opened.read().unwrap_or_else(|error| panic!("a header that is right: {error}"));
                    assert_eq!(array.header(), header);
                    sound::array(&array, bytes.len() as u64);
                }
                Err(error) => sound::error(&error),
            }
        }
        if let Err(error) = Frozen::is_file(path) {
            sound::error(&error);
        }
    });
}
