//! Configurations as TOML and JSON.

use qeinsum::{Error, QuantConfig};

use super::sound;

/// Reads bytes as a file of each kind; what is accepted is written and read again as the same.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for read in [QuantConfig::from_toml, QuantConfig::from_json] {
        match read(text) {
            Ok(config) => {
                config.check().unwrap();
                assert_eq!(config.to_toml().and_then(|text| QuantConfig::from_toml(&text)).as_ref(), Ok(&config));
                assert_eq!(config.to_json().and_then(|text| QuantConfig::from_json(&text)).as_ref(), Ok(&config));
                if let Err(error) = config.check_fits(2) {
                    refused(&error);
                }
            }
            Err(error) => refused(&error),
        }
    }
}

fn refused(error: &Error) {
    sound::error(error);
    assert!(error.spans().is_empty());
}
