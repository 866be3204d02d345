import Checkpoints
import Architecture
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
      shuffles: TokenSettings.shuffles(job.masking, family: model.configuration.family))
    source = try file.openTokens(
      ids: columns.ids, mask: columns.mask, types: columns.types,
      limits: TokenLimits(
        vocabulary: model.configuration.vocabulary, types: model.configuration.tokenTypes,
        positions: model.configuration.positions, requiresTrailingPadding: !isEncoder))
    if job.task == .tokenClassification, readsLabels {
      guard let path = job.data.labels else {
        throw OwnerError.unfitJob("task: token-classification needs data.labels")
      }
      labels = try file.openTokenLabels(path: path, tokens: source, classes: model.settings.classes)
    } else {
      labels = nil
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

  /// Goes through all samples once.
  func scan() throws -> TokenScan {
    var scan = TokenScan(labelClasses: labels?.classes ?? 0)
    try forEachSample { _, sample in
      scan.lengths.append(Int32(sample.count))
      if settings.task.isPerToken { scan.countedTokens += settings.targets(of: sample).count { $0 >= 0 } }
    }
    return scan
  }
}
