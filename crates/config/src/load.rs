//! Finds the files, reads them, and makes settings of them and the environment.

use std::path::{Path, PathBuf};

use crate::complaint::{Complaint, Complaints};
use crate::environment;
use crate::settings::Settings;
use crate::show::{self, Shown};
use crate::tree::{self, Node, Place, Source, SourceName, Table, Value};
use crate::{check, convert};

/// Where to look, as the program found it; this crate reads no environment itself.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The file of `--config`: it must exist.
    pub option: Option<PathBuf>,
    /// The file of `SENDAS_CONFIG`: it must exist.
    pub variable: Option<PathBuf>,
    /// Files to try in order when neither was given: the user's, then the system's.
    pub usual: Vec<PathBuf>,
    /// Name and value of the variables that begin with `SENDAS_` or `AZURE_`.
    pub variables: Vec<(String, String)>,
}

/// A configuration that can be used.
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The files they came from, in the order they were laid over each other.
    pub files: Vec<PathBuf>,
    /// The places that were looked at and had no file.
    pub missing: Vec<PathBuf>,
    /// What could be better; has no errors.
    pub warnings: Complaints,
    /// Every setting with its value and origin.
    pub shown: Vec<Shown>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("settings", &self.settings)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Reads the configuration.
///
/// The first file found counts, with every `conf.d/*.toml` beside it laid over it in the order
/// of their names, and the environment over all.
///
/// # Errors
/// Everything that is wrong, with its place: unreadable files, syntax, unknown keys, values
/// of the wrong kind, settings that contradict each other.
pub fn load(search: &Search) -> Result<Loaded, Complaints> {
    let mut reading = Reading::default();
    reading.read(search);
    reading.finish(&search.variables)
}

#[derive(Default)]
struct Reading {
    sources: Vec<Source>,
    files: Vec<PathBuf>,
    missing: Vec<PathBuf>,
    tree: Table,
    errors: Vec<Complaint>,
    warnings: Vec<Complaint>,
}

impl Reading {
    fn read(&mut self, search: &Search) {
        let named = search
            .option
            .as_ref()
            .map(|path| (path, "--config"))
            .or_else(|| search.variable.as_ref().map(|path| (path, "SENDAS_CONFIG")));
        if let Some((path, origin)) = named {
            self.file(path, Some(origin));
            self.folder(path);
            return;
        }
        for path in &search.usual {
            if self.file(path, None) {
                self.folder(path);
                return;
            }
            self.missing.push(path.clone());
        }
    }

    /// Reads one file; false when there is none.
    fn file(&mut self, path: &Path, named_by: Option<&str>) -> bool {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named_by.is_none() => {
                return false;
            }
            Err(error) => {
                let by = named_by
                    .map(|by| format!(", named by {by}"))
                    .unwrap_or_default();
                self.errors.push(Complaint {
                    title: format!("cannot read `{}`{by}: {error}", path.display()),
                    place: None,
                    label: String::new(),
                    help: match error.kind() {
                        std::io::ErrorKind::PermissionDenied => {
                            vec![
                                "run as a user who may read it, or give that user the right"
                                    .to_owned(),
                            ]
                        }
                        std::io::ErrorKind::InvalidData => {
                            vec!["the file must be UTF-8".to_owned()]
                        }
                        _ => Vec::new(),
                    },
                });
                return true;
            }
        };
        let source = self.sources.len();
        let parsed =
            toml::de::DeTable::parse(&text).map(|parsed| tree::table(source, parsed.get_ref()));
        match parsed {
            Ok(table) => self.tree.merge("", table),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let place = Place { source, span };
                self.errors
                    .push(Complaint::at(&place, "not valid TOML", error.message()));
            }
        }
        self.sources.push(Source {
            name: SourceName::File(path.to_owned()),
            text,
        });
        self.files.push(path.to_owned());
        true
    }

    /// Reads `conf.d/*.toml` beside a file.
    fn folder(&mut self, beside: &Path) {
        let folder = beside.parent().unwrap_or(Path::new("")).join("conf.d");
        let Ok(entries) = std::fs::read_dir(&folder) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .collect();
        paths.sort();
        for path in paths {
            self.file(&path, None);
        }
    }

    fn finish(mut self, variables: &[(String, String)]) -> Result<Loaded, Complaints> {
        let mut authority: Option<Node> = None;
        // With a file that could not be read, a principal may be missing only for that reason.
        if self.errors.is_empty()
            && self.tree.get("principal").is_none()
            && let Some(azure) = environment::azure(variables, &mut self.sources, &mut self.errors)
        {
            let place = azure.principal.place.clone();
            self.tree
                .entry("principal", &place, Value::List(vec![azure.principal]));
            authority = azure.authority;
        }
        environment::overlay(
            variables,
            &mut self.tree,
            &mut self.sources,
            &mut self.errors,
            &mut self.warnings,
        );
        check::check(&self.tree, &mut self.errors);
        let settings = self.errors.is_empty().then(|| {
            convert::settings(
                &self.tree,
                authority.as_ref(),
                &self.sources,
                &mut self.errors,
            )
        });
        let complaints = Complaints {
            errors: self.errors,
            warnings: self.warnings,
            sources: self.sources,
        };
        match settings {
            Some(settings) if !complaints.has_errors() => Ok(Loaded {
                settings,
                shown: show::shown(&self.tree, authority.as_ref(), &complaints.sources),
                files: self.files,
                missing: self.missing,
                warnings: complaints,
            }),
            _ => Err(complaints),
        }
    }
}
