package import Models
package import Families
package import Datasets
package import JobSpec

/// Token sequences of a file, and the pretrained model that reads them.
package struct TokenInputs: Sendable {
  package let source: TokenSource
  package let model: PretrainedModel
  package let settings: TokenSettings
  private let labels: TokenLabels?

  /// - Throws: `DatasetError` for columns that are missing or misshapen; `OwnerError.unfitJob` for a setting that the model's family
  ///   does not have.
  package init(
    _ columns: TokenColumns, file: HDF5File, model: PretrainedModel, job: ResolvedJob
  ) throws {
    let family = type(of: model.family)
    if job.masking.shuffleTokens == true, family.readsTokenOrder {
      throw OwnerError.unfitJob("masking.shuffle_tokens needs an encoder: a decoder reads the order of its tokens")
    }
    self.model = model
    settings = TokenSettings(
      task: job.task, poolsLast: model.pooling == .last,
      shuffles: TokenSettings.shuffles(job.masking, family: family),
      hasLabels: job.task.isPerToken && job.data.labels != nil)
    source = try file.openTokens(
      ids: columns.ids, mask: columns.mask, types: columns.types,
      limits: TokenLimits(
        vocabulary: model.sizes.vocabulary, types: model.sizes.tokenTypes, positions: model.sizes.positions,
        requiresTrailingPadding: family.readsTokenOrder, requiresFirstToken: model.pooling == .cls,
        uncountedToken: model.uncountedToken))
    guard job.task.isPerToken else {
      labels = nil
      return
    }
    switch (job.task, job.data.labels) {
    case (.causalLanguageModel, nil): labels = nil
    case (.causalLanguageModel, let path?):
      labels = try file.openTokenLabels(path: path, tokens: source, classes: model.sizes.vocabulary)
    case (_, let path?):
      labels = try file.openTokenLabels(path: path, tokens: source, classes: model.settings.classes)
    case (_, nil): throw OwnerError.unfitJob("task: \(job.task.rawValue) needs data.labels")
    }
  }

  /// Calls `body` with every row of the file in order and its tokens.
  ///
  /// - Parameter padding: called with the ids that stand in the padding of some rows, two at most.
  func forEachSample(padding: ([Int32]) -> Void = { _ in }, _ body: (Int, [Token]) throws -> Void) throws {
    var next = 0
    while next < source.rows {
      let rows = next..<min(source.rows, next + source.preferredRowBlock)
      let block = try source.read(rows: rows)
      padding(block.padding)
      let ids = try labels?.read(rows: rows, of: block)
      for row in rows { try body(row, block.tokens(ofRow: row - rows.lowerBound, labels: ids)) }
      next = rows.upperBound
    }
  }

  /// Reads all samples once.
  func scan() throws -> TokenScan {
    var scan = TokenScan(labelClasses: labels?.classes ?? 0)
    let named = model.sizes.paddingToken
    var padding: Set<Int32> = []
    try forEachSample(padding: { padding.formUnion($0) }) { row, sample in
      scan.lengths.append(Int32(sample.count))
      guard let last = sample.last?.id else { return }
      scan.lastTokens.insert(last)
      if named == Int(last) { scan.rowsEndingInPadding.append(row) }
      if settings.task.isPerToken { scan.countedTokens += settings.targets(of: sample).count { $0 >= 0 } }
    }
    scan.padding = padding.count == 1 ? padding.first.flatMap { model.sizes.isToken($0) ? $0 : nil } : nil
    return scan
  }
}

extension TokenRows {
  /// The tokens of a row of these, counted from 0.
  ///
  /// - Parameter labels: of all tokens of these rows.
  func tokens(ofRow row: Int, labels: [Int32]? = nil) -> [Token] {
    self[row: row].map { place in
      Token(
        id: ids[place], position: positions[place], type: types[place],
        label: labels.map { $0[place] } ?? TokenLabels.ignored, column: columns[place])
    }
  }
}

/// What a first pass over all samples finds: lengths, counted tokens, classes.
package struct TokenScan: Sendable, Equatable {
  /// Tokens of each sample.
  package var lengths: [Int32] = []
  /// Tokens with a target of their own, for tasks that have such; 0 where labels are not read.
  package var countedTokens = 0
  /// Ids that end a sample.
  package var lastTokens: Set<Int32> = []
  /// Rows whose last token is the one that the checkpoint pads with.
  package var rowsEndingInPadding: [Int] = []
  /// The one token that stands in all padding of the file; nil where there are several or none.
  package var padding: Int32?
  /// Classes of the labels of tokens; 0 without any.
  package let labelClasses: Int

  package init(labelClasses: Int) {
    self.labelClasses = labelClasses
  }

  /// Tokens of the longest sample.
  package var longest: Int { Int(lengths.max() ?? 0) }
}

/// How samples of tokens are packed for a model.
package struct TokenSettings: Sendable, Equatable {
  package let task: LearningTask
  /// Whether the pooled token is the last one of a sample rather than the first.
  package let poolsLast: Bool
  /// Whether each sample's tokens are sent in a fresh secret order: exact where attention does not know positions.
  package let shuffles: Bool
  /// Whether tokens have labels of their own; without, a language model's are the tokens themselves.
  package let hasLabels: Bool

  package init(task: LearningTask, poolsLast: Bool, shuffles: Bool, hasLabels: Bool = false) {
    self.task = task
    self.poolsLast = poolsLast
    self.shuffles = shuffles
    self.hasLabels = hasLabels
  }

  /// Where positions are known only from the token vectors, order can be hidden; without masking nothing is.
  package static func shuffles(_ masking: MaskingDescription, family: any ModelFamily.Type) -> Bool {
    !family.readsTokenOrder && (masking.shuffleTokens ?? true) && masking.strength != .none
  }

  /// The class of each token's output, in the order of the file; negative where it does not count. A language model's is the next
  /// token, or the next token's label where there are labels (negative over a prompt); other tasks take the token's own label.
  func targets(of sample: [Token]) -> [Int32] {
    guard task == .causalLanguageModel else { return sample.map(\.label) }
    return sample.dropFirst().map { hasLabels ? $0.label : $0.id } + [-1]
  }
}
