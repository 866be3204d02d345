import Models

extension JobSpecification {
  /// Fills in every default of a charter and checks what must agree.
  ///
  /// - Parameters:
  ///   - directory: absolute; what paths written in the charter are relative to.
  ///   - workingDirectory: absolute; what paths given as overrides are relative to.
  /// - Throws: `missingKey`, `contradiction`, and for `files` `missingFile`, `notARegularFile`, `missingDirectory`,
  ///   `notADirectory`, `unreadable`.
  func resolvedCharter(
    directory: String, workingDirectory: String, files: CharterFiles
  ) throws(JobSpecError) -> Charter {
    let places = JobPlaces(job: directory, working: workingDirectory, mustExist: files.contains(.keys))
    let name = try required(CharterFields.name)
    let aggregator = CharterAggregator(
      address: try required(CharterFields.address),
      key: try keyFile(required(CharterFields.aggregatorKey), CharterFields.aggregatorKey.path, places))
    let sites = try resolvedSites(places, aggregator)
    let task = try required(JobFields.task)
    try checkTask(task, isTransformer: isTransformer)
    let data = try resolvedCharterData(places, files, task)
    let model = try resolvedCharterModel(places, files, task, classes: data.classes.count)
    let (batch, microBatch) = try resolvedBatch(task)
    try checkSurvival(task, batch: batch, microBatch: microBatch)
    let optimizer = try resolvedOptimizer()
    return Charter(
      name: name, aggregator: aggregator, sites: sites, data: data, task: task, model: model, optimizer: optimizer,
      schedule: ScheduleDescription(warmup: try value(JobFields.warmup), decay: try value(JobFields.decay)),
      train: CharterTraining(
        batch: batch, microBatch: microBatch, seed: try value(JobFields.seed), keep: try value(JobFields.keep),
        recompute: try value(JobFields.recompute), precision: try value(JobFields.precision)),
      federation: try resolvedFederation(sites: sites.count, task: task, optimizer: optimizer, data: data))
  }

  private func keyFile(_ path: String, _ place: String, _ places: JobPlaces) throws(JobSpecError) -> String {
    let location = location(of: place)
    let absolute = places.absolute(path, at: location)
    return places.mustExist ? try JobPath.existingFile(absolute, key: place, at: location) : absolute
  }

  /// - Throws: `missingKey`; `contradiction` where a name or a key's file is given twice.
  private func resolvedSites(
    _ places: JobPlaces, _ aggregator: CharterAggregator
  ) throws(JobSpecError) -> [CharterSite] {
    guard let count = count(ofList: "sites") else {
      throw JobSpecError(
        .missingKey("sites", meaning: "the parties that have rows, each {name, key}; at least 2."),
        at: SourceLocation(source: source))
    }
    var sites: [CharterSite] = []
    var names: Set<String> = []
    var keys = [aggregator.key: "the aggregator"]
    for index in 0..<count {
      let name = try required(CharterFields.siteName, at: index)
      guard names.insert(name).inserted else {
        throw contradiction(
          CharterFields.siteName.path(at: index), "the site name `\(name)` is given twice; a name belongs to one site")
      }
      let place = CharterFields.siteKey.path(at: index)
      let key = try keyFile(required(CharterFields.siteKey, at: index), place, places)
      if let other = keys.updateValue("`\(name)`", forKey: key) {
        throw contradiction(place, "\(other) and `\(name)` have the same key file; each needs a key of its own")
      }
      sites.append(CharterSite(name: name, key: key))
    }
    return sites
  }

  private func required(_ field: JobField<String>, at index: Int) throws(JobSpecError) -> String {
    guard let value = self[field, at: index] else {
      let written = location(of: "sites")
      throw JobSpecError(
        .missingKey(
          field.path(at: index), meaning: "entry \(index + 1) of `sites` has none. " + field.description.meaning),
        at: written)
    }
    return value
  }

  private func resolvedCharterData(
    _ places: JobPlaces, _ files: CharterFiles, _ task: LearningTask
  ) throws(JobSpecError) -> CharterData {
    let standardize = try value(CharterFields.standardize)
    if isTransformer {
      for path in [CharterFields.columns.path, CharterFields.columnsFile.path] {
        try refuse(path, "`\(path)` names the features of `model.mlp`; `model.huggingface` reads tokens; delete it")
      }
      guard standardize == .none else {
        throw contradiction(
          CharterFields.standardize.path, "`data.standardize` is for features: tokens have no mean; delete it")
      }
    }
    let (columns, columnsFile) = isTransformer ? ([], nil) : try resolvedColumns(places, files)
    return CharterData(
      columns: columns, columnsFile: columnsFile, classes: try resolvedClasses(task), standardize: standardize)
  }

  private func resolvedClasses(_ task: LearningTask) throws(JobSpecError) -> [String] {
    guard task == .classification else {
      try refuse(
        CharterFields.classes.path,
        "`data.classes` is the label map of `task: classification`; `task: \(task.rawValue)` has none; delete it")
      return []
    }
    let classes = try required(CharterFields.classes)
    if let twice = Self.repeated(classes) {
      throw contradiction(
        CharterFields.classes.path, "`data.classes` holds \(YAMLText.quoted(twice)) twice; a label has one class id")
    }
    return classes
  }

  private func resolvedColumns(
    _ places: JobPlaces, _ files: CharterFiles
  ) throws(JobSpecError) -> ([String], String?) {
    let path = CharterFields.columnsFile.path
    guard let file = self[CharterFields.columnsFile] else {
      let columns = try required(CharterFields.columns)
      try checkColumns(columns, CharterFields.columns.path, "`data.columns`")
      return (columns, nil)
    }
    try refuse(
      CharterFields.columns.path, "`data.columns` and `data.columns_file` are two places for the same names; keep one")
    let location = location(of: path)
    let absolute = places.absolute(file, at: location)
    guard files.contains(.columns) else { return ([], absolute) }
    let found = try JobPath.existingFile(absolute, key: path, at: location)
    let columns = try ColumnsFile.read(found, at: location)
    try checkColumns(columns, path, found)
    return (columns, found)
  }

  private func checkColumns(_ columns: [String], _ path: String, _ place: String) throws(JobSpecError) {
    guard let twice = Self.repeated(columns) else { return }
    throw contradiction(
      path, "\(place) holds the name \(YAMLText.quoted(twice)) twice; a column stands once in the model's order")
  }

  private static func repeated(_ texts: [String]) -> String? {
    var seen: Set<String> = []
    return texts.first { !seen.insert($0).inserted }
  }

  /// The model as in a job, with as many classes as the charter's label map has.
  private func resolvedCharterModel(
    _ places: JobPlaces, _ files: CharterFiles, _ task: LearningTask, classes: Int
  ) throws(JobSpecError) -> JobModel {
    let places = JobPlaces(job: places.job, working: places.working, mustExist: files.contains(.model))
    let model = try resolvedModel(places, task: task)
    guard case .huggingFace(let pretrained) = model else { return model }
    if task == .tokenClassification {
      _ = try required(JobFields.classes)
    }
    guard task == .classification else { return model }
    if let given = pretrained.classes, given != classes {
      throw contradiction(
        JobFields.classes.path,
        "`model.head.classes` (\(given)) must be how many labels `data.classes` has (\(classes)); delete it")
    }
    return .huggingFace(
      HuggingFaceModel(
        directory: pretrained.directory, pool: pretrained.pool, classes: classes, train: pretrained.train))
  }
}

/// A text file of column names, one a line.
enum ColumnsFile {
  private static let maximumBytes = 64 << 20

  /// - Throws: `unreadable`; `contradiction` naming the line.
  static func read(_ path: String, at location: SourceLocation) throws(JobSpecError) -> [String] {
    let bytes = try JobFile.read(path, limit: maximumBytes)
    guard bytes.count <= maximumBytes, let text = String(validating: bytes, as: UTF8.self) else {
      throw JobSpecError(
        .contradiction("\(path) is not UTF-8 text of at most \(maximumBytes) bytes with a column name a line"),
        at: location)
    }
    var lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }.map(String.init)
    if lines.last?.isEmpty == true { lines.removeLast() }
    guard (1...1_048_576).contains(lines.count) else {
      throw JobSpecError(
        .contradiction("\(path) has \(lines.count) lines; 1 to 1048576 column names are needed"), at: location)
    }
    let rule = ValueRule.text(maximum: 256)
    for (index, line) in lines.enumerated() where rule.value(ofText: line) == nil {
      throw JobSpecError(
        .contradiction("\(path):\(index + 1): a column's name is \(rule.documentation)"), at: location)
    }
    return lines
  }
}
