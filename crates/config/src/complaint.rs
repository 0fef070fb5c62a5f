//! Complaints: what is wrong, where, and what to write instead.

use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::mask;
use crate::tree::{Place, Source, SourceName};

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    /// What is wrong, one line.
    pub(crate) title: String,
    /// Where, if it is somewhere.
    pub(crate) place: Option<Place>,
    /// Half a sentence at the caret.
    pub(crate) label: String,
    /// What to do.
    pub(crate) help: Vec<String>,
}

impl Complaint {
    pub(crate) fn at(place: &Place, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            place: Some(place.clone()),
            label: label.into(),
            help: Vec::new(),
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// A complaint for programs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What is wrong.
    pub title: String,
    /// Detail at the place.
    pub detail: String,
    /// The file, if it stands in one.
    pub file: Option<PathBuf>,
    /// The environment variable, if it stands in one.
    pub variable: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What to do.
    pub help: Vec<String>,
}

/// Everything that is wrong with a configuration, with the texts it was read from.
///
/// `Debug` and rendering hide what looks like a secret in those texts.
pub struct Complaints {
    pub(crate) errors: Vec<Complaint>,
    pub(crate) warnings: Vec<Complaint>,
    pub(crate) sources: Vec<Source>,
}

impl std::fmt::Debug for Complaints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::fmt::Display for Complaints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Complaints {}

impl Complaints {
    /// Says whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Says whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }

    /// The files that were read, whatever is wrong in them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().filter_map(|source| match &source.name {
            SourceName::File(path) => Some(path.as_path()),
            SourceName::Variable(_) => None,
        })
    }

    /// Lists the errors for programs.
    pub fn errors(&self) -> Vec<Finding> {
        self.errors
            .iter()
            .map(|complaint| self.finding(complaint))
            .collect()
    }

    /// Lists the warnings for programs.
    pub fn warnings(&self) -> Vec<Finding> {
        self.warnings
            .iter()
            .map(|complaint| self.finding(complaint))
            .collect()
    }

    /// Draws every complaint with its line and a caret; `colour` adds terminal colours.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let errors = self
            .errors
            .iter()
            .map(|complaint| (Level::ERROR, complaint));
        let warnings = self
            .warnings
            .iter()
            .map(|complaint| (Level::WARNING, complaint));
        errors
            .chain(warnings)
            .map(|(level, complaint)| {
                let report = self.groups(level, complaint);
                renderer.render(&report) + "\n"
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn groups<'a>(&'a self, level: Level<'a>, complaint: &'a Complaint) -> Vec<Group<'a>> {
        let mut groups = Vec::new();
        let title = level.primary_title(complaint.title.as_str());
        groups.push(match &complaint.place {
            None => Group::with_title(title),
            Some(place) => {
                let source = &self.sources[place.source];
                title.element(
                    Snippet::source(mask::hidden(&source.text))
                        .path(label(source))
                        .annotation(
                            AnnotationKind::Primary
                                .span(shown(&source.text, &place.span))
                                .label(complaint.label.as_str()),
                        ),
                )
            }
        });
        for help in &complaint.help {
            groups.push(Group::with_title(
                Level::HELP.secondary_title(help.as_str()),
            ));
        }
        groups
    }

    fn finding(&self, complaint: &Complaint) -> Finding {
        let source = complaint
            .place
            .as_ref()
            .map(|place| (&self.sources[place.source], place));
        let (file, variable) = match source.map(|(source, _)| &source.name) {
            Some(SourceName::File(path)) => (Some(path.clone()), None),
            Some(SourceName::Variable(name)) => (None, Some(name.clone())),
            None => (None, None),
        };
        let position = source
            .filter(|_| file.is_some())
            .map(|(source, place)| position(&source.text, place.span.start));
        Finding {
            title: complaint.title.clone(),
            detail: complaint.label.clone(),
            file,
            variable,
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            help: complaint.help.clone(),
        }
    }
}

/// Line and column of an octet, both from 1, the column in characters.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    (line, column)
}

/// The name a source goes by at the arrow.
fn label(source: &Source) -> String {
    match &source.name {
        SourceName::File(path) => path.display().to_string(),
        SourceName::Variable(_) => "environment".to_owned(),
    }
}

/// The part of a span on its first line, at least one character wide where there is one.
fn shown(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    start..span.end.clamp(start, line_end.max(start))
}
