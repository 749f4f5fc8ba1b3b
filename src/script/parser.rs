//! The parser alone: whether a text is a program. Rhai's engine stays on the thread that made it, so every thread that
//! asks has one of its own; a session parses with the engine that also runs the program.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use rhai::{AST, Engine, OptimizationLevel, ParseError, Position, Token};

use crate::script::scan;
use crate::script::sugar::{self, ColumnMap, KnownNames};

/// Expressions within expressions, outside and inside functions.
const EXPRESSION_DEPTHS: (usize, usize) = (256, 128);

/// Places of `_` in the text being parsed that mean the last value, not the default case of a `switch`.
pub(crate) type LastMarks = Rc<RefCell<BTreeSet<(usize, usize)>>>;

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
        with_marks(engine, marks, code, &KnownNames::default()).map(|(ast, _)| ast)
    })
}

/// Parses the plain form of a text with an engine that was given `marks`; `_` is told from the default case of a
/// `switch`. Also gives how places in the plain form are told in the text; the error has its place in the text already.
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
        // A cell is run once: what an optimizer would fold is not worth a place lost in an error.
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
