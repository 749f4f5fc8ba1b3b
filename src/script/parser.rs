//! The parser alone: whether a text is a program. Rhai's engine stays on the thread that made it, so every thread that
//! asks has one of its own; a session parses with the engine that also runs the program.

use std::cell::OnceCell;

use rhai::{AST, Engine, ParseError};

use crate::script::engine::{LastMarks, syntax};
use crate::script::scan;

/// An engine that knows the language's words and none of its objects.
struct Parser {
    engine: Engine,
    marks: LastMarks,
}

thread_local! {
    static PARSER: OnceCell<Parser> = const { OnceCell::new() };
}

/// Parses a text as a program.
pub(crate) fn parse(code: &str) -> Result<AST, ParseError> {
    PARSER.with(|parser| {
        let Parser { engine, marks } = parser.get_or_init(|| {
            let (mut engine, marks) = (Engine::new_raw(), LastMarks::default());
            syntax(&mut engine, &marks);
            Parser { engine, marks }
        });
        with_marks(engine, marks, code)
    })
}

/// Parses with an engine that was given `marks`; `_` is told from the default case of a `switch`.
pub(crate) fn with_marks(engine: &Engine, marks: &LastMarks, code: &str) -> Result<AST, ParseError> {
    *marks.borrow_mut() = scan::last_marks(code).into_iter().collect();
    let parsed = engine.compile(code);
    marks.borrow_mut().clear();
    parsed
}
