//! A snapshot of the known names: variables, functions, everything registered. Completion, documentation and
//! completeness use it on any thread, also while the session runs a cell.

use std::sync::Arc;

use crate::script::catalog::Catalog;
use crate::script::value_info::ValueInfo;

/// A snapshot of a session.
#[derive(Clone)]
pub struct Symbols {
    catalog: Arc<Catalog>,
    variables: Vec<(String, ValueInfo)>,
    functions: Vec<Function>,
    last: ValueInfo,
}

/// A function that a script defined.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) params: Vec<String>,
    /// Its `///` comments.
    pub(crate) doc: String,
}

impl Function {
    /// `more(x)`
    pub(crate) fn signature(&self) -> String {
        format!("{}({})", self.name, self.params.join(", "))
    }
}

impl Symbols {
    /// A snapshot with the variables in order of definition and the value of `_`.
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        variables: Vec<(String, ValueInfo)>,
        functions: Vec<Function>,
        last: ValueInfo,
    ) -> Self {
        Self { catalog, variables, functions, last }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn variables(&self) -> &[(String, ValueInfo)] {
        &self.variables
    }

    /// The known properties of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&ValueInfo> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, info)| info)
    }

    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The known properties of the last value.
    pub(crate) fn last(&self) -> &ValueInfo {
        &self.last
    }
}

impl std::fmt::Debug for Symbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("Symbols").field("variables", &names).finish_non_exhaustive()
    }
}
