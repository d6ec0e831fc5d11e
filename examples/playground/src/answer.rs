//! What the page is told.

use qeinsum::{Plan, QEinsum, QuantConfig};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::request::{Request, Sizes};

/// A plan with everything that is shown of it, or what is wrong and where.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    /// What is wrong, with carets under the place; the page shows it in a font of fixed width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The field that it is wrong in: `equation`, `sizes`, `choices` or `request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// What may surprise.
    pub notes: Vec<String>,
    /// The plan, with what quantization does where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its cost: a number, or a polynomial where there are no sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What the script of the picture reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<Box<RawValue>>,
}

/// What is wrong, and in which field.
struct Refused(&'static str, String);

impl Answer {
    /// That something is wrong in a field.
    pub fn refused(field: &'static str, error: String) -> Self {
        Self { error: Some(error), field: Some(field), ..Self::default() }
    }

    /// The answer to a request.
    pub fn to(request: &Request) -> Self {
        Self::try_to(request).unwrap_or_else(|Refused(field, error)| Self::refused(field, error))
    }

    fn try_to(request: &Request) -> Result<Self, Refused> {
        let qe = request.equation().map_err(|error| Refused("equation", error.to_string()))?;
        let sizes = request.sizes().map_err(|error| Refused("sizes", error))?;
        let choices = |error: String| Refused("choices", error);
        let options = request.options().map_err(choices)?;
        let config = request.config().map_err(choices)?;
        let qe = qe.with_search(options);
        let qe = match &config {
            Some(config) => qe.with_config(config.clone()),
            None => qe,
        };
        let plan = match &sizes {
            Sizes::Nothing => return Self::symbolic(&qe),
            Sizes::Labels(sizes) => qe.plan_by_sizes(sizes),
            Sizes::Shapes(shapes) => {
                let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
                qe.plan(&shapes)
            }
        };
        let plan = plan.map_err(|error| Refused("sizes", error.to_string()))?;
        if let Some(config) = &config {
            plan.check_config(config).map_err(|error| choices(error.to_string()))?;
        }
        let ranks: Vec<usize> = plan.sizes().shapes().iter().map(qeinsum::Shape::len).collect();
        let notes = qe.notes(&ranks).unwrap_or_default().iter().map(ToString::to_string).collect();
        Ok(Self { notes, ..Self::of(&plan, config.as_ref()) })
    }

    fn of(plan: &Plan, config: Option<&QuantConfig>) -> Self {
        let picture = plan.picture();
        let picture = match config {
            Some(config) => picture.quantized(config),
            None => picture,
        };
        Self {
            text: Some(config.map_or_else(|| plan.to_string(), |config| plan.explain(config))),
            cost: Some(format!("{} mul", plan.multiplications())),
            picture: RawValue::from_string(picture.to_json()).ok(),
            ..Self::default()
        }
    }

    fn symbolic(qe: &QEinsum) -> Result<Self, Refused> {
        let plan = qe.symbolic().map_err(|error| Refused("equation", error.to_string()))?;
        Ok(Self {
            text: Some(plan.to_string()),
            cost: Some(format!("{} mul", plan.polynomial())),
            notes: vec!["without sizes there is no picture: give some, such as i=64,j=32".to_owned()],
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

    use super::*;

    fn ask(equation: &str, sizes: &str, bits: &str) -> Answer {
        Answer::to(&Request {
            equation: equation.to_owned(),
            sizes: sizes.to_owned(),
            bits: bits.to_owned(),
            ..Request::default()
        })
    }

    #[test]
    fn answers() {
        let good = ask("ij,jk->ik", "i=2,j=3,k=4", "");
        assert_eq!((good.error, good.cost.as_deref()), (None, Some("24 mul")));
        assert!(good.picture.unwrap().get().contains("<svg "));
        let quantized = ask("ij,jk->ik", "2x3,3x4", "8");
        assert!(quantized.text.unwrap().contains("lhs int8 absmax over j"));
        let symbolic = ask("ij,jk->ik", "", "");
        assert_eq!((symbolic.cost.as_deref(), symbolic.picture.is_some()), (Some("i·j·k mul"), false));
        let cases = [
            ("ij,jk->iz", "", "", "equation", "^"),
            ("ij,jk->ik", "2x3,4x5", "", "sizes", "^"),
            ("ij,jk->ik", "i=2", "", "sizes", ""),
            ("ij,jk->ik", "i=two,j=3,k=4", "", "sizes", "no size"),
            ("ij,jk->ik", "2x3,3x4", "99", "choices", ""),
        ];
        for (equation, sizes, bits, field, words) in cases {
            let answer = ask(equation, sizes, bits);
            assert_eq!(answer.field, Some(field), "{equation} {sizes}: {:?}", answer.error);
            assert!(answer.error.unwrap().contains(words));
        }
        assert!(crate::plan("{").contains("\"field\":\"request\""));
    }
}
