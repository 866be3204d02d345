import Foundation
package import Models

/// What a site adds to the charter: where its rows are and how it works. Paths absolute. Holds no secret.
package struct SiteSpecification: Sendable, Equatable {
  /// One of the charter's.
  package let name: String
  package let data: SiteData
  /// At least 1; nil for as many as there are.
  package let threads: Int?
  /// Whether the site also trains on its own rows alone, to compare.
  package let localBaseline: Bool
  /// Who does the local training; nil where the site does.
  package let provider: SiteProvider?

  /// Reads, parses and resolves a site's file.
  ///
  /// - Parameters:
  ///   - path: the site's file; paths in it are relative to its directory.
  ///   - charter: what the site takes part in.
  ///   - overrides: `key.path=value` arguments; paths in them are relative to the working directory.
  ///   - checkFiles: whether `data.file` and `trainer_key` must exist.
  /// - Throws: `JobSpecError`.
  package static func load(
    path: String, charter: Charter, overrides: [String] = [], checkFiles: Bool = true
  ) throws(JobSpecError) -> SiteSpecification {
    let working = FileManager.default.currentDirectoryPath
    let directory = (JobPath.absolute(path, in: working) as NSString).deletingLastPathComponent
    return try parse(
      bytes: JobFile.read(path), source: path, overrides: overrides, directory: directory, workingDirectory: working,
      charter: charter, checkFiles: checkFiles)
  }

  /// Parses and resolves a site's text, as `Charter.parse` does a charter's.
  package static func parse(
    bytes: [UInt8], source: String = "site", overrides: [String] = [], directory: String, workingDirectory: String,
    charter: Charter, checkFiles: Bool = false
  ) throws(JobSpecError) -> SiteSpecification {
    let places = JobPlaces(job: directory, working: workingDirectory, mustExist: checkFiles)
    return try JobSpecification.parse(bytes: bytes, source: source, overrides: overrides, schema: .site)
      .resolvedSite(places, charter)
  }
}

/// A provider that does a site's local training under the site's own masks.
package struct SiteProvider: Sendable, Equatable {
  /// tcp://HOST:PORT.
  package let address: String
  /// Absolute path of the file with its public key, where the site file names it.
  package let key: String?
  /// What it sees masked how. The padding is the charter's business, and not in it.
  package let masking: MaskingDescription
}

extension SiteSpecification {
  /// The same site without its provider, for where all parties are one process.
  package var trainingItself: SiteSpecification {
    SiteSpecification(name: name, data: data, threads: threads, localBaseline: localBaseline, provider: nil)
  }
}

/// Where a site's rows come from.
package struct SiteData: Sendable, Equatable {
  /// Absolute path of the HDF5 file.
  package let file: String
  package let inputs: JobInputs
  /// Path of the dataset with the names of the features; nil leaves it to the file's layout, and for tokens.
  package let columns: String?
  /// Nil where the tokens are the labels (causal language modelling) and for survival.
  package let labels: String?
  /// For survival alone.
  package let survival: SurvivalColumns?
  package let split: DataSplit
}

/// Keys of a site's file beside those of a job's `data`.
enum SiteFields {
  static let name = JobField<String>.text(
    "name", .identifier(maximum: 64), default: .required, "Which of the charter's sites this is.")
  static let columns = JobField<String>.text(
    "data.columns", .text(maximum: 1024), default: .derived("an AnnData file's `var`"),
    "The names of the features in the file: a dataset of d strings.")
  static let threads = JobField<Int>.integer(
    "threads", 1...1024, default: .derived("as many as there are processors"), "Threads to compute with.")
  static let localBaseline = JobField<Bool>.boolean(
    "local_baseline", default: .value(false),
    "Also train on the site's own rows alone, to see what the federation is worth to it.")
}

extension JobSpecification {
  /// - Throws: `missingKey`, `contradiction` also where the site does not fit the charter, `missingFile`, `notARegularFile`,
  ///   `unreadable`.
  func resolvedSite(_ places: JobPlaces, _ charter: Charter) throws(JobSpecError) -> SiteSpecification {
    let name = try required(SiteFields.name)
    guard charter.index(ofSite: name) != nil else {
      let distances = charter.sites.map { (name: $0.name, distance: EditDistance.between($0.name, name)) }
      let near = distances.min { $0.distance < $1.distance }.map { "; did you mean `\($0.name)`?" } ?? ""
      throw contradiction(SiteFields.name.path, "the charter `\(charter.name)` has no site `\(name)`\(near)")
    }
    return SiteSpecification(
      name: name, data: try resolvedSiteData(places, charter), threads: self[SiteFields.threads],
      localBaseline: try value(SiteFields.localBaseline), provider: try resolvedProvider(places, charter))
  }

  private func resolvedSiteData(_ places: JobPlaces, _ charter: Charter) throws(JobSpecError) -> SiteData {
    let isTransformer = if case .huggingFace = charter.model { true } else { false }
    let inputs = try resolvedInputs(isTransformer: isTransformer)
    try checkInputs(inputs, task: charter.task, isTransformer: isTransformer)
    if isTransformer {
      try refuse(SiteFields.columns.path, "`data.columns` names features; the charter's model reads tokens; delete it")
    }
    let split = try resolvedSplit()
    try checkValidation(split, charter)
    return SiteData(
      file: try resolvedFile(places), inputs: inputs, columns: self[SiteFields.columns], labels: self[JobFields.labels],
      survival: try resolvedSurvival(charter.task), split: split)
  }

  /// What the charter decides by the validation metric needs every site's validation rows.
  private func checkValidation(_ split: DataSplit, _ charter: Charter) throws(JobSpecError) {
    guard case .fraction(validation: 0, _) = split else { return }
    let asks =
      charter.train.keep == .best ? "train.keep: best" : charter.federation.stopPatience.map { _ in "federation.stop" }
    guard let asks else { return }
    throw contradiction(
      JobFields.validation.path,
      "the charter's `\(asks)` needs validation rows at every site; raise `data.split.validation` above 0")
  }
}

extension Charter {
  /// A site's local training as a job of its own, for what prepares jobs: the loss with the owner of the rows; masked where a provider trains.
  ///
  /// Rounds, standardisation over all sites, class weights, padding and a full step are the site's business; a full step has `train.batch` here.
  package func job(for site: SiteSpecification) -> ResolvedJob {
    let epochs = if case .epochs(let count) = federation.local { count } else { 1 }
    return ResolvedJob(
      name: name, trainer: site.provider?.address ?? JobFields.trainer.fallback ?? "",
      data: JobData(
        file: site.data.file, inputs: site.data.inputs, labels: site.data.labels, survival: site.data.survival,
        split: site.data.split, standardize: data.standardize == .site),
      task: task, model: model,
      masking: site.provider?.masking ?? MaskingDescription(strength: .none, padding: 0, exact: true),
      lossLocation: .owner, optimizer: optimizer, schedule: schedule,
      train: JobTraining(
        epochs: epochs, batch: train.batch, microBatch: train.microBatch, seed: train.seed, keep: .last,
        recompute: train.recompute, precision: train.precision),
      checkpointEverySteps: JobFields.everySteps.fallback ?? 100)
  }
}
