//! What was made before: plans and compiled equations by the shapes of their operands, and equations by their text.
//!
//! All of it is bounded, and none of it changes a result: what is found here is what would be made anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::compiled::Compiled;
use crate::dtype::Dtype;
use crate::equation::Syntax;
use crate::error::Result;
use crate::lower::Plan;
use crate::parse::{self, Ast};
use crate::sizes::Shape;

/// Entries of a [`Recent`].
const ENTRIES: usize = 32;

/// Equations that are kept, and bytes of the longest of them.
const EQUATIONS: usize = 128;
const LONGEST: usize = 256;

/// What was made last for operands of certain shapes and a type, the newest first.
#[derive(Debug)]
pub(crate) struct Recent<V>(Mutex<VecDeque<Entry<V>>>);

#[derive(Debug)]
struct Entry<V> {
    dtype: Dtype,
    shapes: Vec<Shape>,
    made: Arc<V>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> Recent<V> {
    /// What is there, or what `make` makes, which is there from then on.
    pub(crate) fn get<'s>(
        &self,
        dtype: Dtype,
        shapes: impl ExactSizeIterator<Item = &'s [usize]> + Clone,
        make: impl FnOnce() -> Result<V>,
    ) -> Result<Arc<V>> {
        if let Some(made) = self.find(dtype, &shapes) {
            return Ok(made);
        }
        // Nobody waits meanwhile; what two threads make at once is the same.
        let made = Arc::new(make()?);
        let entry = Entry { dtype, shapes: shapes.map(Shape::from).collect(), made: Arc::clone(&made) };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.truncate(ENTRIES - 1);
        entries.push_front(entry);
        Ok(made)
    }

    fn find<'s>(&self, dtype: Dtype, shapes: &(impl ExactSizeIterator<Item = &'s [usize]> + Clone)) -> Option<Arc<V>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |entry: &Entry<V>| {
            entry.dtype == dtype
                && entry.shapes.len() == shapes.len()
                && entry.shapes.iter().zip(shapes.clone()).all(|(here, shape)| here.as_slice() == shape)
        };
        let found = entries.iter().position(is_it)?;
        if found > 0 {
            let entry = entries.remove(found)?;
            entries.push_front(entry);
        }
        entries.front().map(|entry| Arc::clone(&entry.made))
    }
}

/// An equation, and what was made of it without a configuration and with the usual search.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) ast: Arc<Ast>,
    pub(crate) plans: Arc<Recent<Plan>>,
    pub(crate) compiled: Arc<Recent<Compiled>>,
}

impl Known {
    pub(crate) fn new(ast: Ast) -> Self {
        Self { ast: Arc::new(ast), plans: Arc::default(), compiled: Arc::default() }
    }

    /// The equation of a text: parsed, or as it was parsed before.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self> {
        static EQUATIONS: LazyLock<Equations> = LazyLock::new(Equations::default);
        EQUATIONS.get(text, syntax)
    }
}

/// Equations by their text.
#[derive(Default)]
struct Equations {
    compact: Mutex<HashMap<Box<str>, Known>>,
    named: Mutex<HashMap<Box<str>, Known>>,
}

impl Equations {
    fn get(&self, text: &str, syntax: Syntax) -> Result<Known> {
        if text.len() > LONGEST {
            return Ok(Known::new(parse::parse(text, syntax)?));
        }
        let equations = match syntax {
            Syntax::Compact => &self.compact,
            Syntax::Named => &self.named,
        };
        if let Some(known) = equations.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(known.clone());
        }
        let known = Known::new(parse::parse(text, syntax)?);
        let mut equations = equations.lock().unwrap_or_else(PoisonError::into_inner);
        if equations.len() >= EQUATIONS {
            equations.clear();
        }
        equations.insert(text.into(), known.clone());
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_found_until_it_is_too_old() {
        let recent = Recent::default();
        let get = |size: usize, dtype: Dtype| {
            let (shape, mut made) = ([size, 2], false);
            recent
                .get(dtype, [&shape[..], &[]].into_iter(), || {
                    made = true;
                    Ok(size)
                })
                .unwrap();
            made
        };
        assert!(get(0, Dtype::F32) && !get(0, Dtype::F32) && get(0, Dtype::F64));
        for size in 1..ENTRIES {
            assert!(get(size, Dtype::F32));
        }
        assert!(!get(1, Dtype::F32), "the oldest but two");
        assert!(get(0, Dtype::F32), "it had to go");
        assert!(recent.0.lock().unwrap().len() == ENTRIES);
    }

    #[test]
    fn equations_are_parsed_once_in_each_syntax() {
        let equations = Equations::default();
        let known = |text: &str, syntax| equations.get(text, syntax).unwrap();
        let first = known("i,j->ij", Syntax::Compact);
        assert!(Arc::ptr_eq(&first.ast, &known("i,j->ij", Syntax::Compact).ast));
        assert!(!Arc::ptr_eq(&first.ast, &known("i,j->i j", Syntax::Named).ast));
        assert!(!Arc::ptr_eq(&known("i,j->i", Syntax::Named).ast, &known("i,j->i", Syntax::Compact).ast));
        assert!(equations.get("ij,jk->%", Syntax::Compact).is_err());
        let long = "a".repeat(LONGEST + 1);
        assert!(!Arc::ptr_eq(&known(&long, Syntax::Compact).ast, &known(&long, Syntax::Compact).ast));
    }
}
