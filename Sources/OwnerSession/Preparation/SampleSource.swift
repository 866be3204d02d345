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
  /// - Parameters:
  ///   - features: where the features or token ids are, if not where the training data had them.
  ///   - names: kept with the model; nil for one of a version that kept none.
  ///   - warn: told what a person should know.
  /// - Throws: `DatasetError`; `OwnerError.unfitData` when the samples do not fit the model.
  package static func forPrediction(
    _ shape: JobShape, file path: String, features: String?, names: DataNames?, warn: (String) -> Void
  ) throws -> SampleSource {
    let file = try HDF5File(path: path)
    switch shape.job.data.inputs {
    case .features(let trained):
      let source = try file.openFeatures(path: features ?? trained)
      if names == nil {
        warn("the model is of a version that kept no names of columns; the data's columns are taken in their order")
      }
      if let expected = names?.columns { return .features(try aligned(source, expected, file, features ?? trained)) }
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

  private static func aligned(
    _ source: any FeatureSource, _ expected: [String], _ file: HDF5File, _ path: String
  ) throws -> any FeatureSource {
    let place = "\(file.path): '\(path)'"
    guard let found = try file.readNames(features: path, rows: source.rows, columns: source.columns).columns else {
      throw OwnerError.unfitData(
        "\(place) has no names of columns, and the model was trained on named ones; without them nothing says which is which: add them, "
          + "as the index of var (AnnData) or a data set `columns` beside the features")
    }
    guard let places = try DataNames.places(of: expected, in: found, source: place) else { return source }
    return AlignedFeatures(source: source, places: places)
  }
}
