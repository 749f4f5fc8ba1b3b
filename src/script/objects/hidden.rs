//! Helper functions that rewritten code (`sugar`) calls; not part of help and completion.

use std::any::TypeId;

use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};

use crate::error::Error;
use crate::script::catalog::MemberKind;
use crate::script::caught;
use crate::script::context::ScriptContext;
use crate::script::convert::article;
use crate::script::failure::Fallible;
use crate::script::registry::Registry;
use crate::script::type_names::type_name;

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    let engine = registry.engine();
    let any = TypeId::of::<Dynamic>();
    // Without types of their own the first arguments are not copied.
    engine.register_raw_fn("__get", [any, any], |context, args| get(&context, args));
    engine.register_raw_fn("__own", [any], |_, args| Ok(args[0].flatten_clone()));
    let known = ctx.clone();
    engine.register_raw_fn("__settable", [any, any], move |_, args| settable(&known, args));
    engine.register_fn("__unpack", |values: Dynamic, count: i64| unpack(&values, count));
    engine.register_fn("__pairs", pairs);
    engine.register_fn("__items", items);
    engine.register_fn("__first", first);
    engine.register_fn("__second", |item: Dynamic, number: Dynamic| second(&item, number));
    let known = ctx.clone();
    engine.register_fn("__caught", move |value: Dynamic| caught::explained(&known, value));
    engine.register_fn("__ready", move |code: &str| ctx.ready(code));
    iterate_maps(engine);
}

/// `for key in map`
fn iterate_maps(engine: &mut Engine) {
    let mut module = rhai::Module::new();
    module.set_iter(TypeId::of::<Map>(), |map: Dynamic| {
        let keys: Vec<Dynamic> = map.cast::<Map>().into_keys().map(|key| Dynamic::from(key.to_string())).collect();
        Box::new(keys.into_iter())
    });
    engine.register_global_module(module.into());
}

/// `object[key]` or `object.key`, or `()` where a map or array has no such entry.
fn get(context: &NativeCallContext, args: &mut [&mut Dynamic]) -> Fallible<Dynamic> {
    let key = args[1].flatten_clone();
    if args[0].is_unit() {
        return Ok(Dynamic::UNIT);
    }
    if let Ok(map) = args[0].as_map_ref() {
        let key = key.as_immutable_string_ref().map_err(|_| {
            Error::mistake(format!("the keys of a map are strings, not {}", article(&key)))
                .with_hint("a number becomes one with to_string(): map[n.to_string()]")
        })?;
        return Ok(map.get(key.as_str()).map_or(Dynamic::UNIT, Dynamic::flatten_clone));
    }
    if let (Ok(items), Ok(index)) = (args[0].as_array_ref(), key.as_int()) {
        let at = if index < 0 { index + items.len() as i64 } else { index };
        return Ok(usize::try_from(at).ok().and_then(|i| items.get(i)).map_or(Dynamic::UNIT, Dynamic::flatten_clone));
    }
    let mut object = args[0].flatten_clone();
    match key.as_immutable_string_ref() {
        Ok(name) => context.call_native_fn_raw(format!("get${}", name.as_str()), true, &mut [&mut object]),
        Err(_) => context.call_native_fn_raw("index$get$", true, &mut [&mut object, &mut key.clone()]),
    }
}

/// Fails if a property returns a copy, so that a change inside of it would be lost.
fn settable(ctx: &ScriptContext, args: &mut [&mut Dynamic]) -> Fallible<()> {
    let owner = type_name(args[0]);
    let name = args[1].to_string();
    let catalog = ctx.catalog();
    let member = catalog.members(&owner).find(|m| m.name == name.as_str());
    let copied = member
        .is_some_and(|m| m.kind == MemberKind::Property { writable: false } && matches!(m.returns, "array" | "map"));
    if !copied {
        return Ok(());
    }
    let more = if owner == "Score" && name == "notes" { " score(notes) makes a score of them" } else { "" };
    Err(Error::mistake(format!("{owner}.{name} gives a copy: a change inside of it changes nothing"))
        .with_hint(format!("give the copy a name and change that: let {name} = x.{name};{more}"))
        .into())
}

/// The values of an array, one for each name.
fn unpack(values: &Dynamic, count: i64) -> Fallible<Array> {
    let Ok(items) = values.as_array_ref() else {
        return Err(
            Error::mistake(format!("{count} names need an array of {count} values, not {}", article(values))).into()
        );
    };
    if items.len() as i64 != count {
        return Err(Error::mistake(format!("there are {count} names for {} values", items.len()))
            .with_hint("let (first, second) = [1, 2] needs as many values as names")
            .into());
    }
    Ok(items.clone())
}

/// A key and a value, or another pair for a loop with two names.
#[derive(Debug, Clone)]
struct ZippedPair(Dynamic, Dynamic);

/// The items of a loop with two names: the entries of a map; other values unchanged, with the index as second name.
fn pairs(values: Dynamic) -> Dynamic {
    let entries: Option<Array> = values.as_map_ref().ok().map(|map| {
        map.iter().map(|(key, value)| pair(Dynamic::from(key.to_string()), value.flatten_clone())).collect()
    });
    entries.map_or(values, Dynamic::from_array)
}

/// The items of a loop with two names over pairs.
fn items(values: Dynamic) -> Dynamic {
    let two = |item: &Dynamic| {
        let both = item.as_array_ref().ok().filter(|both| both.len() == 2)?;
        Some(pair(both[0].flatten_clone(), both[1].flatten_clone()))
    };
    let taken: Option<Array> = values.as_array_ref().ok().and_then(|items| items.iter().map(two).collect());
    taken.map_or_else(|| pairs(values), Dynamic::from_array)
}

fn pair(first: Dynamic, second: Dynamic) -> Dynamic {
    Dynamic::from(ZippedPair(first, second))
}

fn first(item: Dynamic) -> Dynamic {
    item.read_lock::<ZippedPair>().map(|pair| pair.0.clone()).unwrap_or(item)
}

fn second(item: &Dynamic, number: Dynamic) -> Dynamic {
    item.read_lock::<ZippedPair>().map_or(number, |pair| pair.1.clone())
}
