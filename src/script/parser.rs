//! Parses without running. Rhai's engine cannot move between threads, so every thread has a parser of its own; a
//! session parses with the engine that also runs the program.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use rhai::{AST, Engine, OptimizationLevel, ParseError, Position, Token};

use crate::script::scan;
use crate::script::sugar::{self, ColumnMap, KnownNames};

/// The maximum depth of nested expressions, outside and inside of functions.
const EXPRESSION_DEPTHS: (usize, usize) = (256, 128);

/// Positions of `_` in the parsed text that mean the last value, not the default case of a `switch`.
pub(crate) type LastMarks = Rc<RefCell<BTreeSet<(usize, usize)>>>;

/// An engine with the language's syntax and without objects.
struct Parser {
    engine: Engine,
    marks: LastMarks,
}

thread_local! {
    static PARSER: OnceCell<Parser> = const { OnceCell::new() };
}

/// Parses a program.
pub(crate) fn parse(code: &str) -> Result<AST, ParseError> {
    PARSER.with(|parser| {
        let Parser { engine, marks } = parser.get_or_init(|| {
            let (mut engine, marks) = (Engine::new_raw(), LastMarks::default());
            syntax(&mut engine, &marks);
            Parser { engine, marks }
        });
        with_marks(engine, marks, code, &KnownNames::default()).map(|(ast, _)| ast)
    })
}

/// Parses the Rhai form of a text with an engine that shares `marks`, which distinguish `_` from the default case of a
/// `switch`. Also returns the map of positions to the original text, in which errors already are.
pub(crate) fn with_marks(
    engine: &Engine,
    marks: &LastMarks,
    code: &str,
    names: &KnownNames,
) -> Result<(AST, ColumnMap), ParseError> {
    let plain = sugar::plain(code, names);
    *marks.borrow_mut() = scan::last_marks(&plain.text).into_iter().collect();
    let parsed = engine.compile(&plain.text);
    marks.borrow_mut().clear();
    match parsed {
        Ok(ast) => Ok((ast, plain.places)),
        Err(ParseError(kind, place)) => {
            let place = place.line().map_or(place, |line| {
                let column = plain.places.column(line, place.position().unwrap_or(1));
                Position::new(line.min(u16::MAX.into()) as u16, column.min(u16::MAX.into()) as u16)
            });
            Err(ParseError(kind, place))
        }
    }
}

/// Sets what a text must be to be a program; `marks` are the places of `_` in the text being parsed.
// Rhai calls this hook volatile, not obsolete.
#[allow(deprecated)]
pub(crate) fn syntax(engine: &mut Engine, marks: &LastMarks) {
    engine
        .set_max_expr_depths(EXPRESSION_DEPTHS.0, EXPRESSION_DEPTHS.1)
        .set_max_variables(100_000)
        .set_max_functions(100_000)
        .set_max_modules(1000)
        // A cell runs once: constant folding would not pay, and would lose positions in errors.
        .set_optimization_level(OptimizationLevel::None);
    let marks = marks.clone();
    engine.on_parse_token(move |token, position, _| match token {
        Token::Underscore if marks.borrow().contains(&place(position)) => Token::Identifier(Box::new("_".into())),
        token => token,
    });
}

fn place(position: Position) -> (usize, usize) {
    (position.line().unwrap_or(0), position.position().unwrap_or(0))
}
