//! `Content`: HTML, Markdown and pictures for display.

use std::path::Path;
use std::rc::Rc;

use crate::error::Error;
use crate::files::{check_is_file, locate};
use crate::interrupt::Interrupt;
use crate::plot;
use crate::script::Bundle;
use crate::script::failure::Fallible;
use crate::script::html;
use crate::script::registry::{Object, Registry};

/// The largest picture that is read from a file, in bytes.
const LARGEST: u64 = 20 << 20;

/// A handle to displayable content.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// A description in one line.
    line: Rc<str>,
    /// Its MIME type, and its content in the notation of notebooks.
    kind: &'static str,
    form: Rc<str>,
}

impl Content {
    fn text(kind: &'static str, text: &str) -> Self {
        Self { line: text.into(), kind, form: text.into() }
    }

    /// Reads a picture; its type follows from the extension.
    fn image(path: &Path) -> Fallible<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        let kind = match ending.as_str() {
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "gif" => "image/gif",
            "webp" => "image/webp",
            "svg" => "image/svg+xml",
            _ => {
                return Err(Error::mistake(format!(
                    "image shows .png, .jpg, .gif, .webp and .svg, not {}",
                    path.display()
                ))
                .with_hint("score.plot() draws a score, plot(values) numbers")
                .into());
            }
        };
        let about = std::fs::metadata(path).map_err(|e| Error::io("cannot read", path, e))?;
        check_is_file(path)?;
        if about.is_dir() {
            return Err(Error::mistake(format!("{} is a folder, not a file", path.display())).into());
        }
        if about.len() > LARGEST {
            let size = about.len() >> 20;
            return Err(Error::mistake(format!("{} is too large to show: {size} MiB", path.display()))
                .with_hint(format!("up to {} MiB are shown", LARGEST >> 20))
                .into());
        }
        let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
        let form = if kind == "image/svg+xml" {
            String::from_utf8(bytes).map_err(|_| Error::broken(format!("{} is not an SVG", path.display())))?
        } else {
            html::base64(&bytes)
        };
        Ok(Self { line: format!("image {}", path.display()).into(), kind, form: form.into() })
    }
}

impl Object for Content {
    const NAME: &'static str = "Content";
    const DOC: &'static str =
        "Something that is displayed as it is: html(\"<b>x</b>\"), markdown(\"**x**\"), image(\"x.png\").";

    fn line(&self) -> String {
        self.line.lines().next().unwrap_or_default().into()
    }

    fn text(&self, _width: usize) -> String {
        self.line.to_string()
    }

    fn svg(&self, _interrupt: &Interrupt) -> Option<String> {
        (self.kind == "image/svg+xml").then(|| self.form.to_string())
    }

    fn bundle(&self, width: usize, _interrupt: &Interrupt) -> Bundle {
        Bundle::text(self.text(width)).with(self.kind, Some(self.form.to_string()))
    }

    fn html(&self) -> Option<String> {
        (self.kind == "text/html").then(|| self.form.to_string())
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "html(text: string) -> Content",
        "HTML that a notebook shows as it is; a terminal shows its source.",
        |text: &str| Content::text("text/html", text),
    );
    registry.function(
        "markdown(text: string) -> Content",
        "Markdown that a notebook shows as it is; a terminal shows its source.",
        |text: &str| Content::text("text/markdown", text),
    );
    registry.function(
        "image(path: string) -> Content",
        "A picture from a file: .png, .jpg, .gif, .webp or .svg.",
        |path: &str| -> Fallible<Content> { Content::image(&locate(path)?) },
    );
    registry.function(
        "escape(text: string) -> string",
        "The text with what means something in HTML written so that it means itself: html(`<b>${escape(name)}</b>`).",
        |text: &str| plot::escape(text),
    );
    registry.object::<Content>();
}
