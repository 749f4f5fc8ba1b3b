//! A session: runs cells with an engine and keeps variables and functions between them.
//!
//! It stays on the thread that created it. Deep recursion in scripts needs a large stack: create the session inside of
//! [`on_big_stack`](crate::script::on_big_stack).

use std::cell::OnceCell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rhai::{AST, Caches, Dynamic, Engine, Expr, FnPtr, GlobalRuntimeState, Module, Namespace, Position, Scope, Stmt};

use crate::allocator::give_back_freed_memory;
use crate::error::Error;
use crate::files::read_text;
use crate::script::context::ScriptContext;
use crate::script::engine::engine;
use crate::script::error_context::ErrorContext;
use crate::script::failure::Fallible;
use crate::script::globals::{self, CHECKPOINT, Globals, LAST};
use crate::script::objects::Displayed;
use crate::script::parser::LastMarks;
use crate::script::sources::ScriptSources;
use crate::script::sugar::KnownNames;
use crate::script::symbols::{Function, Symbols};
use crate::script::transcript::{Shown, Transcript};
use crate::script::value_info::ValueInfo;
use crate::script::{
    Bundle, CellError, Host, Output, Variable, panics, parser, remedy, scan, show, standard, type_names,
};

/// Variables, functions and the engine that runs cells.
pub struct Session {
    pub(crate) engine: Engine,
    pub(crate) ctx: ScriptContext,
    pub(crate) scope: Scope<'static>,
    /// The functions of all cells; the latest definition of each.
    pub(crate) functions: AST,
    globals: Globals,
    marks: LastMarks,
    /// Imports and constants, which persist between cells.
    runtime: GlobalRuntimeState,
    /// The statement inserted between the statements of a cell.
    checkpoint: Stmt,
    /// Rhai keeps constants for `global::NAME` only if there are functions, or this module.
    anchor: rhai::Shared<Module>,
    sources: ScriptSources,
    cells: Vec<String>,
    record: Transcript,
    /// The outputs of each cell.
    shown: Vec<Vec<Shown>>,
    /// The current snapshot; empty after a cell ran.
    symbols: OnceCell<Rc<Symbols>>,
}

impl Session {
    /// A session without variables.
    pub fn new(mut host: Host) -> Self {
        let record = Transcript::default();
        let (kept, output) = (record.clone(), host.output);
        host.output = Arc::new(move |emitted| {
            kept.keep(&emitted);
            output(emitted);
        });
        let ctx = ScriptContext::new(host);
        let (globals, marks) = (Globals::default(), LastMarks::default());
        let engine = engine(&ctx, &globals, &marks);
        let runtime = engine.new_global_runtime_state();
        let mut anchor = Module::new();
        anchor.set_var("anchor", ());
        let mut session = Self {
            engine,
            ctx,
            scope: Scope::new(),
            functions: AST::empty(),
            globals,
            marks,
            runtime,
            checkpoint: checkpoint(),
            anchor: anchor.into(),
            sources: ScriptSources::default(),
            cells: Vec::new(),
            record,
            shown: Vec::new(),
            symbols: OnceCell::new(),
        };
        session.set_args(&[]);
        session
    }

    /// Sets `args`, the arguments of a script.
    pub fn set_args(&mut self, args: &[String]) {
        let args: rhai::Array = args.iter().map(Into::into).collect();
        self.scope.set_or_push("args", args);
        self.symbols.take();
    }

    /// Runs a cell; returns the value of its last expression, or `None` when it is `()` or hidden by a final `;`. `_`
    /// holds the last value. After an error variables remain.
    ///
    /// # Errors
    /// The error of the cell. A panic in lower floors is caught and returned as an error, too.
    pub fn eval(&mut self, code: &str) -> Result<Option<Bundle>, CellError> {
        self.run_text(code, None)
    }

    /// Runs a script file, whose name is in errors.
    ///
    /// # Errors
    /// The error of the script; a file that cannot be read.
    pub fn run(&mut self, path: &Path) -> Result<Option<Bundle>, CellError> {
        let text = read_text(path).map_err(|e| CellError::from(&e))?;
        self.run_text(&text, Some(path))
    }

    /// Runs a script without a file; `name` is its name in errors.
    ///
    /// # Errors
    /// The error of the script.
    pub fn run_source(&mut self, name: &str, code: &str) -> Result<Option<Bundle>, CellError> {
        self.run_text(code, Some(Path::new(name)))
    }

    /// The type of the value of `code`. The code is run, but is not recorded as a cell and does not change `_`.
    ///
    /// # Errors
    /// The error of the code.
    pub fn type_of(&mut self, code: &str) -> Result<String, CellError> {
        Ok(type_names::type_name(&self.value_of(code)?).into_owned())
    }

    fn value_of(&mut self, code: &str) -> Result<Dynamic, CellError> {
        self.begin(code, None);
        self.guarded(|session| {
            let ast = session.compile(code, None)?;
            let value = session.evaluate(&ast, code);
            session.settle();
            value.map(Dynamic::flatten).map_err(|error| session.error_context().fault(*error))
        })
    }

    /// The value of `code`. The code is run, but is not recorded as a cell and does not change `_`.
    ///
    /// # Errors
    /// The error of the code.
    pub fn peek(&mut self, code: &str) -> Result<Bundle, CellError> {
        let value = self.value_of(code)?;
        Ok(show::bundle(self.ctx.catalog(), &value, self.ctx.width(), self.ctx.progress().interrupt()))
    }

    /// Sets the width of text in columns, after a resize of the terminal.
    pub fn set_width(&mut self, columns: usize) {
        self.ctx.set_width(columns);
    }

    /// Sets whether the host can show HTML and play sound (default: true); if not, values are not rendered to either.
    pub fn set_rich(&mut self, rich: bool) {
        self.ctx.set_rich(rich);
    }

    /// Sets whether displays can be updated in place (default: true); if not, long work shows a simple progress bar.
    pub fn set_live(&mut self, live: bool) {
        self.ctx.set_live(live);
    }

    /// The width of text in columns.
    pub fn width(&self) -> usize {
        self.ctx.width()
    }

    /// Takes the exit code that a script requested with `exit(n)`.
    pub fn take_exit(&mut self) -> Option<i32> {
        let code = self.ctx.exit();
        self.ctx.set_exit(None);
        code
    }

    /// True when the last code requested to exit.
    pub fn exits(&self) -> bool {
        self.ctx.exit().is_some()
    }

    /// The variables in order of definition.
    pub fn variables(&self) -> Vec<Variable> {
        let mut variables = globals::variables(&self.ctx, &self.scope);
        variables.retain(|v| v.name != "args" || v.summary != "[]");
        variables
    }

    /// A snapshot of the known names; computed once between two cells.
    pub fn symbols(&self) -> Rc<Symbols> {
        self.symbols.get_or_init(|| self.take_stock().into()).clone()
    }

    fn take_stock(&self) -> Symbols {
        let catalog = self.ctx.catalog();
        let info = |value: &Dynamic| ValueInfo::of(catalog, &value.flatten_clone());
        let variables = (&self.scope).into_iter().filter(|(name, ..)| *name != LAST);
        let function = |f: rhai::ScriptFnMetadata| Function {
            name: f.name.into(),
            params: f.params.iter().map(|p| (*p).into()).collect(),
            doc: f.comments.iter().flat_map(|c| c.lines()).map(comment).collect::<Vec<_>>().join("\n"),
        };
        Symbols::new(
            self.ctx.catalog().clone(),
            variables.map(|(name, value, _)| (name.into(), info(value))).collect(),
            self.functions.iter_functions().map(function).collect(),
            info(&self.ctx.last()),
        )
    }

    /// Removes variables, functions and cells, and returns their memory to the system.
    pub fn reset(&mut self) {
        self.scope = Scope::new();
        self.functions = AST::empty();
        self.globals.set_functions(&self.functions);
        self.globals.end(&mut self.scope);
        self.runtime = self.engine.new_global_runtime_state();
        self.sources = ScriptSources::default();
        self.ctx.set_last(Dynamic::UNIT);
        self.cells.clear();
        self.shown.clear();
        self.record.clear();
        self.ctx.set_variables(Vec::new());
        self.symbols.take();
        self.set_args(&[]);
        give_back_freed_memory();
    }

    /// The successful cells, in order.
    pub fn cells(&self) -> &[String] {
        &self.cells
    }

    /// The outputs of each cell.
    pub(crate) fn shown(&self) -> &[Vec<Shown>] {
        &self.shown
    }

    /// The host.
    pub fn host(&self) -> &Host {
        self.ctx.host()
    }

    fn run_text(&mut self, code: &str, file: Option<&Path>) -> Result<Option<Bundle>, CellError> {
        self.record.take();
        let code = without_shebang(code);
        self.begin(&code, file);
        let shown = self.guarded(|session| {
            let ast = session.compile(&code, file)?;
            if file.is_none()
                && let Some(note) = remedy::note(&code)
            {
                session.ctx.say(Output::Warning(format!("{note}\n")));
            }
            let outcome =
                session.evaluate(&ast, &code).and_then(|value| session.show(value, &code, names_a_value(&ast)));
            session.settle();
            outcome.map_err(|error| session.error_context().fault(*error))
        })?;
        if let Some(value) = &shown {
            self.record.value(value);
        }
        self.cells.push(code);
        self.shown.push(self.record.take());
        Ok(shown)
    }

    fn begin(&mut self, code: &str, file: Option<&Path>) {
        self.symbols.take();
        self.ctx.progress().interrupt().clear();
        self.ctx.set_exit(None);
        self.sources.begin(code, file);
    }

    /// Runs `work`; a panic becomes an error.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, CellError>) -> Result<T, CellError> {
        panics::catch(|| work(self)).unwrap_or_else(|panic| {
            self.settle();
            let hint = format!("this is a bug of Étude at {}; the variables are as they were", panic.place);
            Err(CellError { hint: Some(hint), ..CellError::new("Panic", panic.message) })
        })
    }

    /// The names that determine the meaning of a call `f(x)`.
    fn names(&self) -> KnownNames {
        let closures = (&self.scope).into_iter().filter(|(_, value, _)| value.read_lock::<FnPtr>().is_some());
        let scripted = self.functions.iter_functions().map(|f| f.name.to_string());
        let registered = self.ctx.catalog().function_names().into_iter().map(String::from);
        let rhais = standard::FUNCTIONS.iter().map(|name| (*name).to_string());
        KnownNames {
            closures: closures.map(|(name, ..)| name.to_string()).collect(),
            functions: scripted.chain(registered).chain(rhais).collect(),
        }
    }

    fn compile(&mut self, code: &str, file: Option<&Path>) -> Result<AST, CellError> {
        let names = self.names();
        let compiled = parser::with_marks(&self.engine, &self.marks, code, &names);
        let (mut ast, places) = compiled.map_err(|error| self.error_context().syntax(&error))?;
        self.sources.set_places(places.clone());
        self.ctx.set_text(code, places, names);
        if let Some(file) = file {
            ast.set_source(file.display().to_string());
        }
        if ast.has_functions() {
            self.functions = self.functions.merge(&ast.clone_functions_only());
            self.globals.set_functions(&self.functions);
            self.sources.define(&ast);
        }
        Ok(ast)
    }

    // Rhai has no other way to keep imports and constants from one evaluation to the next.
    #[allow(deprecated)]
    fn evaluate(&mut self, ast: &AST, code: &str) -> Fallible<Dynamic> {
        self.ctx.want_variables(code.contains("vars"));
        self.globals.begin(&mut self.scope);
        let mut program = Vec::with_capacity(2 * ast.statements().len());
        for statement in ast.statements() {
            program.push(self.checkpoint.clone());
            program.push(statement.clone());
        }
        let functions: &rhai::Shared<rhai::Module> = self.functions.as_ref();
        self.runtime.lib.clear();
        self.runtime.lib.push(functions.clone());
        self.runtime.lib.push(self.anchor.clone());
        self.runtime.source = ast.source().map(Into::into);
        self.engine.eval_statements_raw(&mut self.runtime, &mut Caches::new(), &mut self.scope, &program)
    }

    /// Converts the value of a cell for display and stores it as `_`. `()` is shown only if the cell names a value
    /// (`named`), not as the result of a call without one.
    fn show(&self, value: Dynamic, code: &str, named: bool) -> Fallible<Option<Bundle>> {
        if value.is_unit() && named && self.ctx.exit().is_none() && !hidden(code) {
            return Ok(Some(show::all(&self.ctx, &value)));
        }
        if value.is_unit() || value.is::<Displayed>() || self.ctx.exit().is_some() {
            return Ok(None);
        }
        let value = value.flatten();
        let bundle = (!hidden(code)).then(|| {
            for bundle in show::besides(&self.ctx, &value) {
                self.ctx.say(Output::Display { bundle, id: None });
            }
            show::all(&self.ctx, &value)
        });
        self.ctx.set_last(value);
        // An interrupt during display counts, too.
        self.ctx.progress().check()?;
        Ok(bundle)
    }

    /// Restores the invariants after an evaluation, successful or not.
    fn settle(&mut self) {
        self.globals.end(&mut self.scope);
        self.runtime.level = 0;
        self.runtime.scope_level = 0;
        self.runtime.always_search_scope = false;
    }

    pub(crate) fn error_context(&self) -> ErrorContext<'_> {
        let functions = self.functions.iter_functions().map(|f| (f.name.to_string(), f.params.len())).collect();
        let evaluated = self.ctx.evaluated();
        ErrorContext { catalog: self.ctx.catalog(), sources: &self.sources, scope: &self.scope, functions, evaluated }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("host", self.host()).field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}

/// The look-up that triggers [`Globals::checkpoint`].
fn checkpoint() -> Stmt {
    let variable = Box::new((None, CHECKPOINT.into(), Namespace::NONE, 0));
    Stmt::Expr(Box::new(Expr::Variable(variable, None, Position::NONE)))
}

/// True when the last statement is a variable, a member, an item or `()`, but not a call.
fn names_a_value(ast: &AST) -> bool {
    fn named(expression: &Expr) -> bool {
        match expression {
            Expr::Variable(..) | Expr::Property(..) | Expr::Unit(..) => true,
            Expr::Dot(pair, ..) => named(&pair.rhs),
            Expr::Index(pair, ..) => !matches!(&pair.rhs, Expr::Dot(pair, ..) if !named(&pair.rhs)),
            _ => false,
        }
    }
    matches!(ast.statements().last(), Some(Stmt::Expr(expression)) if named(expression))
}

/// A line of a `///` comment without its leader.
fn comment(line: &str) -> &str {
    line.trim_start_matches(['/', ' '])
}

/// True when a final `;` hides the value.
fn hidden(code: &str) -> bool {
    scan::scan(code).code().next_back().is_some_and(|t| &code[t.start..t.end] == ";")
}

/// Turns a first line `#!…` into a comment, so that line numbers are kept.
fn without_shebang(code: &str) -> String {
    match code.strip_prefix("#!") {
        Some(rest) => format!("// {rest}"),
        None => code.into(),
    }
}

impl From<&Error> for CellError {
    fn from(error: &Error) -> Self {
        let name = if error.is_interrupted() { "Interrupted" } else { "Error" };
        Self {
            hint: error.hint().map(Into::into),
            interrupted: error.is_interrupted(),
            ..Self::new(name, error.message())
        }
    }
}
