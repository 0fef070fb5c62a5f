//! The checkout: its folders and what cargo says about its packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::Run;

/// Where things are, and cargo's view of the packages.
pub(crate) struct Workspace {
    /// The root of the checkout.
    pub(crate) root: PathBuf,
    /// The folder cargo builds into.
    pub(crate) target: PathBuf,
    /// `cargo metadata` of all features and platforms.
    pub(crate) metadata: Value,
}

impl Workspace {
    /// Asks cargo, with the lock file as it stands.
    pub(crate) fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the root of the checkout")?
            .to_owned();
        let text = Run::cargo([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
        ])
        .folder(&root)
        .text()
        .context("cargo cannot describe the workspace; is Cargo.lock up to date?")?;
        let metadata: Value = serde_json::from_str(&text)?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo names its target folder")?
            .into();
        Ok(Self {
            root,
            target,
            metadata,
        })
    }

    /// Everything this program keeps between its steps.
    pub(crate) fn kept(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// The folder of installed tools, outside of the target folder so that it outlives a clean build.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join(".tools")
    }

    /// The packages cargo knows, ours and foreign.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().into_iter().flatten()
    }

    /// The packages of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Value> {
        self.packages()
            .filter(|package| package["source"].is_null())
    }

    /// Whether some member has a target called `name` of the given kind (`test`, `bench`).
    pub(crate) fn has_target(&self, kind: &str, name: &str) -> bool {
        self.members().any(|package| {
            package["targets"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|target| {
                    target["name"] == name
                        && target["kind"]
                            .as_array()
                            .is_some_and(|kinds| kinds.iter().any(|k| k == kind))
                })
        })
    }
}
