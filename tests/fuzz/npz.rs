//! Archives of arrays.

use qeinsum::io::Source;

use super::sound;

/// A byte of a deflated stream can stand for so many bytes at the most.
const EXPANSION: u64 = 1032;

/// Reads the only array of an archive, and the one called `a`.
pub(crate) fn check(bytes: &[u8]) {
    sound::with_file("a.npz", bytes, |path| {
        for name in [None, Some("a".to_owned())] {
            let source = Source::Npz { path: path.to_owned(), name };
            match source.open().and_then(|opened| {
                // What is announced is what a budget is checked against, before anything is read.
                let header = opened.header().clone();
                let announced = header.shape.iter().product::<usize>() as u64 * header.dtype.bytes() as u64;
                if announced > 1 << 22 {
                    return Ok(None);
                }
                opened.read().map(|array| Some((array, header)))
            }) {
                Ok(Some((array, header))) => {
                    assert_eq!(array.header(), header);
                    sound::array(&array, bytes.len() as u64 * EXPANSION);
                }
                Ok(None) => {}
                Err(error) => sound::error(&error),
            }
        }
    });
}
