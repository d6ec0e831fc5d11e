//! `--config` and `--bits`: how calls are quantized.

use std::ffi::OsString;
use std::path::Path;
use std::str::FromStr;

use clap::Args;
use qeinsum::{DotGeneralConfig, QuantConfig};

use crate::failure::Failure;
use crate::text_file;

/// A configuration, in one of the two ways to give it, or none.
#[derive(Args)]
pub(crate) struct QuantArgs {
    /// Quantize as this TOML file says; JSON where its name ends in `.json`
    #[arg(long, value_name = "FILE", conflicts_with = "bits")]
    config: Option<OsString>,

    /// Quantize to N bits, forward and for the gradient of the earlier operand; `qeinsum run` also takes `auto`
    #[arg(long, value_name = "N")]
    bits: Option<Bits>,
}

/// How many bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bits {
    /// So many for all calls.
    Fixed(u8),
    /// What each call needs, by the operands at hand.
    Auto,
}

impl FromStr for Bits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number.parse().map(Self::Fixed).map_err(|_| "write a number of bits, or `auto`".to_owned()),
        }
    }
}

impl QuantArgs {
    /// The configuration for an equation of so many operands.
    pub(crate) fn read(&self, operands: usize) -> Result<Option<QuantConfig>, Failure> {
        let config = self.parsed()?;
        if let Some(config) = &config {
            config.check_fits(operands)?;
        }
        Ok(config)
    }

    /// Whether bits are to be chosen by the operands.
    pub(crate) fn chooses(&self) -> bool {
        self.bits == Some(Bits::Auto)
    }

    /// The configuration, for any equation.
    pub(crate) fn parsed(&self) -> Result<Option<QuantConfig>, Failure> {
        if self.chooses() {
            let message = "`--bits auto` goes by the operands: `qeinsum run` has some, one case at a time";
            return Err(Failure::Request(message.to_owned()));
        }
        if let Some(Bits::Fixed(bits)) = self.bits {
            let config = DotGeneralConfig::v4().fwd_bits(Some(bits)).dlhs_bits(Some(bits)).build();
            return config.map(|config| Some(config.into())).map_err(|error| Failure::from(error).within("--bits"));
        }
        let Some(file) = &self.config else { return Ok(None) };
        let text = text_file::read(file, text_file::CONFIG_LIMIT)?;
        let json = Path::new(file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let config = if json { QuantConfig::from_json(&text) } else { QuantConfig::from_toml(&text) };
        config.map(Some).map_err(|error| Failure::from(error).within(&text_file::shown(file)))
    }
}
