//! Which file of a folder an address means: none outside of it, whatever the address and the links in it say.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::text_file;

/// A folder whose files are served.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// One that has the playground in it.
    pub(crate) fn new(path: &OsStr) -> Result<Self, Failure> {
        let missing = || {
            let name = text_file::shown(path);
            Failure::Request(format!(
                "`{name}`: no playground: `examples/playground/build` makes one in target/playground"
            ))
        };
        let folder = Path::new(path).canonicalize().map_err(|_| missing())?;
        if folder.join("index.html").is_file() { Ok(Self(folder)) } else { Err(missing()) }
    }

    /// The file that an address means; none for what is no file, or lies outside.
    pub(crate) fn find(&self, address: &str) -> Option<PathBuf> {
        let path = address.split(['?', '#']).next()?;
        let name = decoded(path.strip_prefix('/')?)?;
        let name = if name.is_empty() { "index.html" } else { &name };
        // Only plain names, so that no part means another place on any system.
        if name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.contains(['\\', ':', '\0'])) {
            return None;
        }
        let file = self.0.join(name).canonicalize().ok()?;
        (file.starts_with(&self.0) && file.is_file()).then_some(file)
    }
}

/// The text without percent signs; none where it is not UTF-8, or ends within a sign.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// What browsers have to be told that a file is.
pub(crate) fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(OsStr::to_str) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn addresses_mean_files_of_the_folder() {
        let place = std::env::temp_dir().join(format!("qeinsum-served-{}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(place.join("site/sub")).unwrap();
        fs::write(place.join("secret.txt"), "s").unwrap();
        fs::write(place.join("site/index.html"), "i").unwrap();
        fs::write(place.join("site/.hidden"), "h").unwrap();
        fs::write(place.join("site/sub/a b.wasm"), "w").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(place.join("secret.txt"), place.join("site/link.txt")).unwrap();
        let folder = Folder::new(place.join("site").as_os_str()).unwrap();
        let found = |address: &str| {
            let path = folder.find(address)?;
            Some(path.file_name().unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(found("/").as_deref(), Some("index.html"));
        assert_eq!(found("/index.html?x=1").as_deref(), Some("index.html"));
        assert_eq!(found("/sub/a%20b.wasm").as_deref(), Some("a b.wasm"));
        let outside = [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/sub/..%2f..%2fsecret.txt",
            "/sub/../../secret.txt",
            "//etc/passwd",
            "/link.txt",
            "/.hidden",
            "/sub",
            "/sub/",
            "/none",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/%ff",
            "/a\\..\\b",
            "/%00",
            "",
            "index.html",
            "http://elsewhere/index.html",
        ];
        for address in outside {
            assert_eq!(found(address), None, "{address}");
        }
        assert!(Folder::new(place.as_os_str()).is_err());
        fs::remove_dir_all(place).unwrap();
        assert_eq!(media_type(Path::new("x.wasm")), "application/wasm");
        assert_eq!(media_type(Path::new("x")), "application/octet-stream");
    }
}
