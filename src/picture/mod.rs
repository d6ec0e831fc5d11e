//! Pictures of plans: the contraction tree as an SVG drawing, or as a page to look into it.
//!
//! In come a [`Plan`], how its calls are quantized, what it is predicted to take and what errors were measured, if any;
//! out goes text. Absent is every decision: what is drawn was decided before, and nothing reads what stands here. Lengths are
//! whole numbers and no font is asked for its widths, so that the same plan gives the same bytes on every machine.
//!
//! ```text
//!   Plan ──draw──▶ Drawing ──place──▶ Placed ──▶ SVG ──▶ page, JSON
//!          (what is said of each value)  (rows, lanes, texts in their boxes)
//! ```

mod draw;
mod drawing;
mod escape;
mod facts;
mod json;
mod lanes;
mod legend;
mod measure;
mod numbers;
mod page;
mod paint;
mod palette;
mod place;
mod rows;
mod svg;
#[cfg(test)]
mod tests;

use crate::exec::QuantizationError;
use crate::lower::Plan;
use crate::path::Speeds;
use crate::quant::QuantConfig;

pub use page::SCRIPT;
pub use palette::STYLE;

/// A picture of a plan, and what it shows beside it.
///
/// One row is one value, the operands included; lines run from what is read to what is made of it, lhs and rhs told apart.
/// The area of a call is its share of all multiplications, and a call whose sides are swapped is a diamond. Every row has
/// its details as a tooltip.
///
/// ```
/// use qeinsum::{DotGeneralConfig, QEinsum};
/// let plan = QEinsum::new("ij,jk->ki")?.plan(&[&[64, 32], &[32, 16]])?;
/// let svg = plan.picture().to_svg();
/// assert!(svg.starts_with("<svg ") && svg.contains("swapped"));
///
/// let config = DotGeneralConfig::v4().build()?.into();
/// let page = plan.picture().quantized(&config).to_html();
/// assert!(page.starts_with("<!doctype html>") && page.contains("lhs int8 over j"));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Picture<'p> {
    plan: &'p Plan,
    config: Option<&'p QuantConfig>,
    speeds: &'p Speeds,
    errors: &'p [QuantizationError],
}

impl Plan {
    /// A picture of the plan: its contraction tree, to be written as SVG or as a page.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ab,bc,cd->ad")?.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
    /// assert!(plan.picture().to_svg().contains("einsum ab,bc,cd-&gt;ad"));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn picture(&self) -> Picture<'_> {
        Picture { plan: self, config: None, speeds: Speeds::shipped(), errors: &[] }
    }
}

impl<'p> Picture<'p> {
    /// Shows how a configuration quantizes each side of each call, and predicts times by it.
    pub fn quantized(self, config: &'p QuantConfig) -> Self {
        Self { config: Some(config), ..self }
    }

    /// Predicts times by these speeds instead of the shipped ones.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[64, 32], &[32, 16]])?;
    /// let shipped = qeinsum::path::Speeds::shipped(); // or those that were measured on a machine
    /// assert_eq!(plan.picture().with_speeds(shipped).to_svg(), plan.picture().to_svg());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_speeds(self, speeds: &'p Speeds) -> Self {
        Self { speeds, ..self }
    }

    /// Shows what quantization was measured to cost each call, in their order.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let (a, b) = (array![[1.0_f32, 0.3]], array![[0.7_f32], [-2.0]]);
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[a.shape(), b.shape()])?;
    /// let config = DotGeneralConfig::v4().build()?.into();
    /// let mut errors = Vec::new();
    /// plan.run_measured((&a, &b), &config, None, |_call, error| errors.push(error))?;
    /// let page = plan.picture().quantized(&config).with_errors(&errors).to_html();
    /// assert!(page.contains("sqnr"));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_errors(self, errors: &'p [QuantizationError]) -> Self {
        Self { errors, ..self }
    }

    /// The picture as SVG: one file that asks for no other, light or dark as its reader is.
    pub fn to_svg(&self) -> String {
        svg::file(&self.placed())
    }

    /// The picture as an HTML page: one file that asks for no other.
    ///
    /// Pointing at a row, or going to it by key, shows its step: its line of the plan, dimension numbers, share of the
    /// multiplications and of the predicted time, memory over the schedule, quantization, and the error where one was given.
    pub fn to_html(&self) -> String {
        page::html(&self.drawing(), &self.placed())
    }

    /// What the page's script shows, as JSON: for pages of one's own, with [`SCRIPT`] and [`STYLE`].
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
    /// let json: serde_json::Value = serde_json::from_str(&plan.picture().to_json()).expect("it is JSON");
    /// assert_eq!(json["nodes"][2]["line"], "%2: [i,k] = dot_general %0, %1 contract [1]x[0]");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        json::with_svg(&self.drawing(), &svg::inline(&self.placed()))
    }

    fn drawing(&self) -> drawing::Drawing {
        draw::draw(self.plan, self.config, self.speeds, self.errors)
    }

    fn placed(&self) -> place::Placed {
        place::place(&self.drawing())
    }
}
