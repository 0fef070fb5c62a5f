//! What the program finds around it, read once: environment, folders, terminals.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use sendas_config::Search;
use sendas_entra::Environment;

/// The environment of one run.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Variables that are UTF-8; values are never printed.
    pub(crate) environment: Environment,
    /// Name and value of the variables that hold settings.
    settings: Vec<(String, String)>,
}

impl Machine {
    /// Reads the process environment.
    pub(crate) fn read() -> Self {
        let all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let settings = all
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
            .filter(|(name, _)| name.starts_with("SENDAS_") || name.starts_with("AZURE_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            environment: all.into_iter().collect(),
            settings,
        }
    }

    /// Where the configuration is looked for.
    pub(crate) fn search(&self, option: Option<PathBuf>) -> Search {
        Search {
            option,
            variable: self.environment.get("SENDAS_CONFIG").map(PathBuf::from),
            usual: self.usual_files(),
            variables: self.settings.clone(),
        }
    }

    /// Where state is kept (XDG base directory specification); a service has a folder of its own.
    pub(crate) fn state_folder(&self) -> PathBuf {
        let path = |name: &str| {
            self.environment
                .get(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if let Some(folder) = path("STATE_DIRECTORY") {
            return folder;
        }
        let folder = if cfg!(windows) {
            path("LOCALAPPDATA")
        } else {
            path("XDG_STATE_HOME").or_else(|| path("HOME").map(|home| home.join(".local/state")))
        };
        folder.unwrap_or_default().join("sendas")
    }

    /// The machine's name, as the system keeps it; `localhost` where it keeps none.
    pub(crate) fn hostname(&self) -> String {
        let kept = ["/proc/sys/kernel/hostname", "/etc/hostname"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok());
        let said = ["HOSTNAME", "COMPUTERNAME"]
            .iter()
            .find_map(|name| self.environment.get(name).map(str::to_owned));
        let name = kept.or(said).unwrap_or_default();
        let name = name.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return "localhost".to_owned();
        }
        name.to_owned()
    }

    /// The user's configuration file, then the system's.
    fn usual_files(&self) -> Vec<PathBuf> {
        let folder = if cfg!(windows) {
            self.environment.get("APPDATA").map(PathBuf::from)
        } else {
            // A relative XDG_CONFIG_HOME is to be ignored (XDG base directory specification).
            self.environment
                .get("XDG_CONFIG_HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| {
                    self.environment
                        .get("HOME")
                        .map(|home| PathBuf::from(home).join(".config"))
                })
        };
        let system = if cfg!(windows) {
            self.environment
                .get("ProgramData")
                .map(|data| PathBuf::from(data).join("sendas"))
        } else {
            Some(PathBuf::from("/etc/sendas"))
        };
        folder
            .map(|folder| folder.join("sendas"))
            .into_iter()
            .chain(system)
            .map(|folder| folder.join("sendas.toml"))
            .collect()
    }
}

/// Says whether somebody sits at standard input.
pub(crate) fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Says whether somebody sits at standard output.
pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
