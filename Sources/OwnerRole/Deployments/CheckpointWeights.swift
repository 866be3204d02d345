import Families
import Files
import Foundation
import JobSpec
import Models
import Numerics

/// Every weight from a checkpoint that is whole: head, and adapters where there are, among them.
struct CheckpointWeights: PlaintextWeights {
  let model: PretrainedModel
  let adapters: AdapterDirectory?

  func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws(FileError) -> Tensor<Element> {
    guard let adapters, specification.isTrained else { return try model.tensor(specification.name) }
    var tensor: Tensor<Element> = try adapters.tensor(named: specification.name)
    if let gain: Tensor<Element> = try model.gain(readBy: specification.name) { tensor.scaleColumns(by: gain) }
    return tensor
  }

  /// Outputs of the head.
  ///
  /// - Throws: `OwnerError.unfitData` where there is none.
  func outputs() throws -> Int {
    if model.task == .causalLanguageModel { return model.sizes.vocabulary }
    let name = type(of: model.family).classifier(model.task) + ".weight"
    // Adapters have the head that was trained with them.
    let found = if let adapters { adapters.shape(of: name) } else { model.directory.shape(of: name) }
    guard let shape = found, shape.count == 2, shape[1] == model.sizes.width, shape[0] >= 1 else {
      throw OwnerError.unfitData(
        "\(adapters?.path ?? model.settings.directory) has no `\(name)` for task: \(model.task.rawValue); deploy a directory that was fine-tuned for it"
      )
    }
    return shape[0]
  }
}

extension ModelDirectory {
  /// The sizes of a finished model whose run kept none.
  ///
  /// - Throws: `OwnerError.unfitData` for weights that are not the job's model.
  func dataShape(_ job: ResolvedJob, names: DataNames?) throws -> DataShape {
    switch job.model {
    case .mlp(let hidden, _):
      let first = job.masking.adapterWidth == nil ? "layers.0.weight" : "adapter.weight"
      let (input, output) = (try weightShape(first), try weightShape("layers.\(hidden.count).weight"))
      return DataShape(features: input[1], outputs: output[0], classNames: names?.classes, labelsMissing: false)
    case .huggingFace(let settings):
      let model = try PretrainedModel(settings, task: job.task)
      let weights = CheckpointWeights(
        model: settings.train.adaptation == nil
          ? try PretrainedModel(
            HuggingFaceModel(directory: root.path, pool: settings.pool, classes: nil, train: .all), task: job.task)
          : model, adapters: settings.train.adaptation == nil ? nil : try AdapterDirectory(root.path))
      return DataShape(
        features: 0, outputs: try weights.outputs(), classNames: names?.classes, labelsMissing: false,
        drawsPooler: model.lacksPooler ? true : nil)
    }
  }

  private func weightShape(_ name: String) throws -> [Int] {
    let file = try SafetensorsFile(path: weightsFile.path)
    guard let shape = file.entry(name)?.shape, shape.count == 2, !shape.contains(0) else {
      throw OwnerError.unfitData("\(weightsFile.path) has no matrix `\(name)`, which the job's model has")
    }
    return shape
  }
}
