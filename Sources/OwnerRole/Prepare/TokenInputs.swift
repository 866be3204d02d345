package import Models
import Files
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
    _ columns: TokenColumns, file: HDF5File, model: PretrainedModel, job: ResolvedJob, readsLabels: Bool = true
  ) throws {
    let isEncoder = model.configuration.family == .bert
    if job.masking.shuffleTokens == true, !isEncoder {
      throw OwnerError.unfitJob("masking.shuffle_tokens needs an encoder: a decoder reads the order of its tokens")
    }
    self.model = model
    settings = TokenSettings(
      task: job.task, poolsLast: model.pooling == .last,
      shuffles: TokenSettings.shuffles(job.masking, family: model.configuration.family),
      hasLabels: job.task.isPerToken && job.data.labels != nil)
    source = try file.openTokens(
      ids: columns.ids, mask: columns.mask, types: columns.types,
      limits: TokenLimits(
        vocabulary: model.configuration.vocabulary, types: model.configuration.tokenTypes,
        positions: model.configuration.positions, requiresTrailingPadding: !isEncoder))
    guard job.task.isPerToken, readsLabels else {
      labels = nil
      return
    }
    switch (job.task, job.data.labels) {
    case (.causalLanguageModel, nil): labels = nil
    case (.causalLanguageModel, let path?):
      labels = try file.openTokenLabels(path: path, tokens: source, classes: model.configuration.vocabulary)
    case (_, let path?):
      labels = try file.openTokenLabels(path: path, tokens: source, classes: model.settings.classes)
    case (_, nil): throw OwnerError.unfitJob("task: \(job.task.rawValue) needs data.labels")
    }
  }

  /// Calls `body` with every row of the file in order and its tokens.
  func forEachSample(_ body: (Int, [Token]) throws -> Void) throws {
    var next = 0
    while next < source.rows {
      let rows = next..<min(source.rows, next + source.preferredRowBlock)
      let block = try source.read(rows: rows)
      let ids = try labels?.read(rows: rows, of: block)
      for row in rows {
        try body(
          row,
          block[row: row - rows.lowerBound].map { place in
            Token(
              id: block.ids[place], position: block.positions[place], type: block.types[place],
              label: ids.map { $0[place] } ?? TokenLabels.ignored)
          })
      }
      next = rows.upperBound
    }
  }

  /// Reads all samples once.
  func scan() throws -> TokenScan {
    var scan = TokenScan(labelClasses: labels?.classes ?? 0)
    try forEachSample { _, sample in
      scan.lengths.append(Int32(sample.count))
      if settings.task.isPerToken { scan.countedTokens += settings.targets(of: sample).count { $0 >= 0 } }
    }
    return scan
  }
}

/// One token of a sample, padding left out.
package struct Token: Sendable, Equatable {
  package let id: Int32
  /// Its column in the file: the position that the embedding adds.
  package let position: Int32
  /// Segment: 0 unless the data names others.
  package let type: Int32
  /// Its class for tasks that label tokens; negative where it does not count.
  package let label: Int32

  package init(id: Int32, position: Int32, type: Int32 = 0, label: Int32 = -1) {
    self.id = id
    self.position = position
    self.type = type
    self.label = label
  }
}

/// What a first pass over all samples finds: lengths, counted tokens, classes.
package struct TokenScan: Sendable, Equatable {
  /// Tokens of each sample.
  package var lengths: [Int32] = []
  /// Tokens with a target of their own, for tasks that have such; 0 where labels are not read.
  package var countedTokens = 0
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

  /// An encoder's attention knows positions only from the token vectors, so order can be hidden; without masking nothing is.
  package static func shuffles(_ masking: MaskingDescription, family: TransformerFamily) -> Bool {
    family == .bert && (masking.shuffleTokens ?? true) && masking.strength != .none
  }

  /// The class of each token's output, in the order of the file; negative where it does not count. A language model's is the next
  /// token, or the next token's label where there are labels (negative over a prompt); other tasks take the token's own label.
  func targets(of sample: [Token]) -> [Int32] {
    guard task == .causalLanguageModel else { return sample.map(\.label) }
    return sample.dropFirst().map { hasLabels ? $0.label : $0.id } + [-1]
  }
}
