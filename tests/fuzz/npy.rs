//! Files of one array.

use qeinsum::io;

use super::sound;

/// Reads bytes as an `.npy` file.
pub(crate) fn check(bytes: &[u8]) {
    sound::with_file("a.npy", bytes, |path| {
        let header = io::inspect(path);
        match io::load(path) {
            Ok(array) => {
                assert_eq!(header.as_ref(), Ok(&array.header()));
                sound::array(&array, bytes.len() as u64);
            }
            Err(error) => sound::error(&error),
        }
    });
}
