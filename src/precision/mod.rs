//! How many bits each call of a plan gets.
//!
//! In come a plan, operands that stand for those to come, and the error that the result may have; out go what
//! quantizing each call costs the result, and the configuration of least predicted time whose error was measured to be
//! no larger. Nothing here quantizes: configurations are tried by running them.

mod choose;
mod front;

pub use choose::ChosenBits;

use ndarray::ArrayD;

use crate::error::Result;
use crate::exec::QuantizationError;
use crate::kernel::Element;
use crate::lower::Plan;
use crate::operands::OperandView;
use crate::quant::{DotGeneralConfig, QuantConfig};
use crate::rng::Key;

impl Plan {
    /// For each call, the error that the result would have if that call alone were left in floats: what the others cost.
    ///
    /// The plan is run once for each call, and once in floats.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, OperandView, QEinsum};
    /// let (a, b) = (array![[1.0_f32, 0.3], [0.7, -2.0]].into_dyn(), array![[0.1_f32, 1.0], [0.5, -0.25]].into_dyn());
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[2, 2], &[2, 2]])?;
    /// let config = DotGeneralConfig::v4().build()?.into();
    /// let views = [OperandView::Array(a.view()), OperandView::Array(b.view())];
    /// let errors = plan.errors_without_call(&views, &config, None)?;
    /// assert!(errors[0].sqnr_db().is_infinite()); // the only call
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn errors_without_call<T: Element>(
        &self,
        operands: &[OperandView<'_, T>],
        config: &QuantConfig,
        key: Option<Key>,
    ) -> Result<Vec<QuantizationError>> {
        let exact = self.run(operands.to_vec())?;
        let steps = self.call_configs(config);
        let without = |call: usize| -> Result<QuantizationError> {
            let mut steps = steps.clone();
            steps[call] = DotGeneralConfig::default();
            self.error(&exact, operands, &by_step(steps), key)
        };
        (0..steps.len()).map(without).collect()
    }

    /// The error of a run by a configuration.
    fn error<T: Element>(
        &self,
        exact: &ArrayD<T>,
        operands: &[OperandView<'_, T>],
        config: &QuantConfig,
        key: Option<Key>,
    ) -> Result<QuantizationError> {
        let result = self.run_quantized(operands.to_vec(), config, key)?;
        Ok(QuantizationError::between(exact, &result))
    }
}

/// The configuration of a plan whose calls have these, each for itself.
fn by_step(steps: Vec<DotGeneralConfig>) -> QuantConfig {
    let all = QuantConfig::from(DotGeneralConfig::default());
    steps.into_iter().enumerate().fold(all, |config, (step, own)| config.with_step(step, own))
}
