//! What was made before: plans and compiled equations by the shapes of their operands, and equations by their text.
//!
//! All of it is bounded, and none of it changes a result: what is found here is what would be made anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
        if let Some(made) = self.find(dtype, shapes.clone()) {
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

    fn find<'s>(&self, dtype: Dtype, shapes: impl ExactSizeIterator<Item = &'s [usize]> + Clone) -> Option<Arc<V>> {
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
        static KNOWN: OnceLock<Mutex<[HashMap<Box<str>, Known>; 2]>> = OnceLock::new();
        if text.len() > LONGEST {
            return Ok(Self::new(parse::parse(text, syntax)?));
        }
        let which = match syntax {
            Syntax::Compact => 0,
            Syntax::Named => 1,
        };
        let all = KNOWN.get_or_init(Mutex::default);
        if let Some(known) = all.lock().unwrap_or_else(PoisonError::into_inner)[which].get(text) {
            return Ok(known.clone());
        }
        let known = Self::new(parse::parse(text, syntax)?);
        let equations = &mut all.lock().unwrap_or_else(PoisonError::into_inner)[which];
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
        let known = |text: &str, syntax| Known::parse(text, syntax).unwrap();
        let first = known("ij,jk->ik", Syntax::Compact);
        assert!(Arc::ptr_eq(&first.ast, &known("ij,jk->ik", Syntax::Compact).ast));
        assert!(!Arc::ptr_eq(&first.ast, &known("ij,jk->ik", Syntax::Named).ast));
        assert!(Known::parse("ij,jk->%", Syntax::Compact).is_err());
        let long = "a".repeat(LONGEST + 1);
        assert!(!Arc::ptr_eq(&known(&long, Syntax::Compact).ast, &known(&long, Syntax::Compact).ast));
    }
}
