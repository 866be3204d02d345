package import Datasets
import JobSpec

/// What a job's samples are made of.
package enum SampleSource: Sendable {
  case features(any FeatureSource)
  case tokens(TokenInputs)

  package var rows: Int {
    switch self {
    case .features(let source): source.rows
    case .tokens(let tokens): tokens.source.rows
    }
  }
}

extension SampleSource {
  /// Opens a file of samples to predict, laid out as the training data.
  ///
  /// - Parameter features: where the features or token ids are, if not where the training data had them.
  /// - Throws: `DatasetError`; `OwnerError.unfitData` when the samples do not fit the model.
  package static func forPrediction(_ shape: JobShape, file path: String, features: String?) throws -> SampleSource {
    let file = try HDF5File(path: path)
    switch shape.job.data.inputs {
    case .features(let trained):
      let source = try file.openFeatures(path: features ?? trained)
      guard source.columns == shape.data.features else {
        throw OwnerError.unfitData("the data has \(source.columns) features, the model takes \(shape.data.features)")
      }
      return .features(source)
    case .tokens(let trained):
      guard let model = shape.pretrained else { throw OwnerError.unfitJob("the job names no checkpoint") }
      let columns = TokenColumns(ids: features ?? trained.ids, mask: trained.mask, types: trained.types)
      return .tokens(try TokenInputs(columns, file: file, model: model, job: shape.job, readsLabels: false))
    }
  }
}
