//! `import "name" as m`: loads scripts from the folder of the importing one, or from the working folder.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::files::read_text;
use crate::script::sources::ScriptSource;
use crate::script::sugar::{self, KnownNames};

/// The modification time and the contents of a module.
type LoadedModule = (Option<SystemTime>, Shared<Module>);

/// Loads modules, and caches those that have not changed.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    known: RefCell<HashMap<PathBuf, LoadedModule>>,
}

impl ModuleResolver for Modules {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        place: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let file = find(source, path).ok_or_else(|| EvalAltResult::ErrorModuleNotFound(path.into(), place))?;
        let changed = std::fs::metadata(&file).and_then(|meta| meta.modified()).ok();
        if let Some((at, module)) = self.known.borrow().get(&file)
            && *at == changed
        {
            return Ok(module.clone());
        }
        let failed = |error: Box<EvalAltResult>| EvalAltResult::ErrorInModule(file.display().to_string(), error, place);
        let text = read_text(&file).map_err(|error| failed(error.into()))?;
        let plain = sugar::plain(&text, &KnownNames::default()).text;
        let mut ast = engine.compile(plain).map_err(|error| failed(error.into()))?;
        ast.set_source(file.display().to_string());
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine).map_err(failed)?;
        let module: Shared<Module> = module.into();
        self.known.borrow_mut().insert(file, (changed, module.clone()));
        Ok(module)
    }
}

/// The file of a module: next to the importing script, else in the working folder.
fn find(source: Option<&str>, path: &str) -> Option<PathBuf> {
    let mut name = PathBuf::from(path);
    if name.extension().is_none_or(|ending| ending != "rhai") {
        name.as_mut_os_string().push(".rhai");
    }
    let beside = source.and_then(|source| Path::new(source).parent()).map(|folder| folder.join(&name));
    beside.into_iter().chain([name]).find(|file| file.is_file())
}

/// The source of a module, to show the line of an error.
pub(crate) fn source(file: &str) -> ScriptSource {
    let text = read_text(Path::new(file)).unwrap_or_default();
    let places = sugar::plain(&text, &KnownNames::default()).places;
    ScriptSource { name: Some(file.into()), text: text.into(), places }
}
