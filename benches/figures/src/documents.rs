//! Everything that is made of the figures, as files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::headline::Headline;
use crate::page::page;
use crate::plot::plot;
use crate::section::{section, with_section};
use crate::suite::Suite;

/// The documents as they are to be.
#[derive(Debug)]
pub struct Documents {
    files: BTreeMap<PathBuf, String>,
    /// A sentence for each headline whose figure is in no suite.
    missing: Vec<String>,
    /// Plots of headlines that are no more, or were not measured.
    stale: BTreeSet<PathBuf>,
}

impl Documents {
    /// Made of the suites and headlines of the tree whose folder is `root`.
    ///
    /// # Errors
    /// When a suite, the headlines or the README cannot be read.
    pub fn make(root: &Path) -> anyhow::Result<Self> {
        let suites = Suite::load_all(root)?;
        let headlines = Headline::load_all(root)?;
        let results = root.join("benches/results");
        let (mut files, mut missing) = (BTreeMap::new(), Vec::new());
        let mut plotted: BTreeMap<&str, Vec<&Headline>> = BTreeMap::new();
        for headline in &headlines {
            missing.extend(headline.missing(&suites));
            if let Some(svg) = plot(headline, &suites)? {
                files.insert(results.join(format!("{}.svg", headline.name)), svg);
                plotted.entry(headline.suite.as_str()).or_default().push(headline);
            }
        }
        for suite in &suites {
            let plots = plotted.get(suite.name.as_str()).map_or(&[][..], Vec::as_slice);
            files.insert(results.join(format!("{}.md", suite.name)), page(suite, plots));
        }
        let readme = root.join("README.md");
        let text = fs::read_to_string(&readme).context("cannot read README.md")?;
        files.insert(readme, with_section(&text, &section(&headlines, &suites))?);
        let is_plot = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "svg");
        let stale = files_in(&results)?.into_iter().filter(is_plot);
        let stale = stale.filter(|file| !files.contains_key(file)).collect();
        Ok(Self { files, missing, stale })
    }

    /// Which headlines were not measured, a sentence each.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The files that are not as they are to be.
    pub fn outdated(&self) -> Vec<&Path> {
        let differs = |(file, wanted): &(&PathBuf, &String)| {
            fs::read_to_string(file).ok().as_ref() != Some(*wanted)
        };
        let changed = self.files.iter().filter(differs).map(|(file, _)| file.as_path());
        changed.chain(self.stale.iter().map(PathBuf::as_path)).collect()
    }

    /// Makes them as they are to be.
    ///
    /// # Errors
    /// When one cannot be written or removed.
    pub fn write(&self) -> anyhow::Result<()> {
        for (file, text) in &self.files {
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        for file in &self.stale {
            fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        Ok(())
    }
}

/// The files of a folder in the order of their names.
pub(crate) fn files_in(folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Better;

    const HEADLINE: &str = "[[headline]]\nname = \"moves\"\ntitle = \"Moves\"\nsuite = \"peers\"\n\
                            path = \"moves\"\nunit = \"/s\"\nat_least = 15\n";

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        fs::create_dir_all(root.path().join("benches/results")).unwrap();
        put("benches/headlines.toml", HEADLINE);
        put("benches/results/old.svg", "<svg/>");
        put("benches/results/kept.csv", "path,instructions\n");
        let marks = crate::section::with_section;
        let readme = "<!-- figures: begin; made by `figures`, not to be edited -->\n\
                      <!-- figures: end -->\n";
        put("README.md", &marks(readme, "").unwrap());
        let mut suite = Suite::new("peers", "Peers", "scripts/peers");
        suite.add("moves", "muster", "/s", Better::Higher, &[30.0]);
        suite.save(root.path()).unwrap();
        root
    }

    #[test]
    fn what_was_written_is_not_outdated_until_a_figure_changes() {
        let root = tree();
        let documents = Documents::make(root.path()).unwrap();
        assert_eq!(documents.outdated().len(), 4, "README, page, plot, and one plot too many");
        documents.write().unwrap();
        let documents = Documents::make(root.path()).unwrap();
        assert!(documents.outdated().is_empty(), "{:?}", documents.outdated());
        let results = root.path().join("benches/results");
        assert!(!results.join("old.svg").exists() && results.join("kept.csv").exists());

        let mut suite = Suite::load(root.path(), "peers").unwrap();
        suite.figures[0].values = vec![14.0];
        suite.save(root.path()).unwrap();
        let documents = Documents::make(root.path()).unwrap();
        assert_eq!(documents.outdated().len(), 3, "README, page and plot");
        assert!(documents.missing().is_empty());

        suite.figures.clear();
        suite.save(root.path()).unwrap();
        let documents = Documents::make(root.path()).unwrap();
        let wanted = "moves is not measured: no \"moves\" of muster in \"/s\" in peers.json";
        assert_eq!(documents.missing(), [wanted]);
    }

    #[test]
    fn headlines_that_cannot_be_read_say_where() {
        let root = tree();
        fs::write(root.path().join("benches/headlines.toml"), "[[headline]]\nname = 1\n").unwrap();
        let error = format!("{:#}", Documents::make(root.path()).unwrap_err());
        assert!(error.contains("headlines.toml is no list of headlines"), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }
}
