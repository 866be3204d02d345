import Models
import Files
import Datasets
import Foundation
import JobSpec
import OwnerRole
import Numerics

/// Replays a run in plaintext from what its directory documents, `plan.h5` and `initial.safetensors`, with the rows in memory and
/// nothing of the product's engine, masking or planning.
struct PlaintextRun {
  /// PyTorch name → values.
  private(set) var weights: [String: [Double]] = [:]
  /// Mean loss of every step.
  private(set) var losses: [Double] = []
  private(set) var keptEpoch: Int?
  private let job: ResolvedJob
  private let rows: [[Double]]
  private let targets: [[Double]]
  private let batches: [[Int]]
  private let validation: [Int]
  /// What is added to the gradients of a step, laid out as `NaiveNetwork.parameters`; nil for a job without privacy.
  private let noise: ((Int) throws -> [[Double]])?

  /// - Parameter noising: turns a row, standardised if the job says so, into the row that was sent; the second is its number in the
  ///   file.
  init(
    _ directory: RunDirectory, job: ResolvedJob, data: SmallData,
    noising: ([Float], Int) throws -> [Float] = { row, _ in row }, noise: ((Int) throws -> [[Double]])? = nil
  ) throws {
    self.job = job
    self.noise = noise
    let plan = try HDF5File(path: directory.plan.path)
    let source = try plan.openFeatures(path: "batches")
    var numbers = [Float](repeating: 0, count: source.rows * source.columns)
    try numbers.withUnsafeMutableBufferPointer { try source.read(rows: 0..<source.rows, into: $0) }
    batches = (0..<source.rows).map { step in
      numbers[(step * source.columns)..<((step + 1) * source.columns)].filter { $0 >= 0 }.map { Int($0) }
    }
    let training = try plan.readRowNumbers(path: "split/train", below: data.rows)
    validation = (0..<data.rows).filter { !training.contains($0) }
    let clean = job.data.standardize ? Self.standardized(data.features, by: training) : data.features
    rows = try clean.enumerated().map { try noising($0.element, $0.offset).map(Double.init) }
    targets =
      switch job.data.labels {
      case nil: data.times.indices.map { [data.times[$0], data.events[$0] ? 1 : 0] }
      case "classes": data.classes.map { [Double($0)] }
      case "tasks": data.tasks.map { $0.map(Double.init) }
      case "targets": data.targets.map { $0.map(Double.init) }
      default: data.targetsWithGaps.map { $0.map(Double.init) }
      }
    try train(initial: directory.initialWeights)
  }

  /// Population statistics of the training rows; features are single precision, whatever the job computes in.
  private static func standardized(_ features: [[Float]], by training: [Int]) -> [[Float]] {
    let columns = features[0].indices
    let count = Double(training.count)
    let means = columns.map { column in training.reduce(0) { $0 + Double(features[$1][column]) } / count }
    let deviations = columns.map { column in
      (training.reduce(0) { $0 + pow(Double(features[$1][column]) - means[column], 2) } / count).squareRoot()
    }
    return features.map { row in
      columns.map { Float((Double(row[$0]) - means[$0]) / (deviations[$0] == 0 ? 1 : deviations[$0])) }
    }
  }

  private mutating func train(initial: URL) throws {
    guard case .mlp(let hidden, let activation) = job.model else { return }
    let adapter = job.masking.adapterWidth
    let widths =
      [SmallData.columns] + (adapter.map { [$0] } ?? []) + hidden + [job.task == .survival ? 1 : SmallData.outputs]
    let start: NamedTensors<Double> = try SafetensorsFile(path: initial.path).tensors()
    let layers = (0..<(widths.count - 1)).map { NaiveNetwork.name($0, hasAdapter: adapter != nil) }
    var network = NaiveNetwork(
      widths: widths, activation: activation, hasAdapter: adapter != nil,
      weights: layers.map { start["\($0).weight"]?.elements ?? [] },
      biases: layers.map { start["\($0).bias"]?.elements ?? [] })
    var optimizer = NaiveOptimizer(job.optimizer, parameters: network.parameters)
    let stepsPerEpoch = batches.count / job.train.epochs
    var best: (score: Double, network: NaiveNetwork)?
    for (step, batch) in batches.enumerated() {
      losses.append(try take(step, batch, &network, &optimizer))
      guard (step + 1) % stepsPerEpoch == 0, job.train.keep == .best else { continue }
      let score = NaiveLoss(task: job.task).score(
        validation.map { network.forward(rows[$0]).last ?? [] }, validation.map { targets[$0] })
      if best.map({ score > $0.score }) ?? true {
        best = (score, network)
        keptEpoch = step / stepsPerEpoch
      }
    }
    weights = Self.named(best?.network ?? network)
  }

  private func take(
    _ step: Int, _ batch: [Int], _ network: inout NaiveNetwork, _ optimizer: inout NaiveOptimizer
  ) throws -> Double {
    let loss = NaiveLoss(task: job.task)
    var gradients = Self.zeros(network)
    let observed = Double(max(1, batch.reduce(0) { $0 + loss.observed(targets[$1]) }))
    var sum = 0.0
    let passes = batch.map { network.forward(rows[$0]) }
    let results = loss.evaluate(batch: passes.map { $0.last ?? [] }, batch.map { targets[$0] })
    for (row, (sums, (value, gradient))) in zip(batch, zip(passes, results)) {
      sum += value
      if let clipNorm = job.privacy?.clipNorm {
        // The row's own loss, its gradient by itself, clipped; added up and divided by the batch that is expected.
        var own = Self.zeros(network)
        let count = Double(max(1, loss.observed(targets[row])))
        network.backward(rows[row], sums: sums, outputGradient: gradient.map { $0 / count }, into: &own)
        let norm = own.reduce(0) { $1.values.reduce($0) { $0 + $1 * $1 } }.squareRoot()
        let factor = min(1, clipNorm / norm) / Double(job.train.rowsPerStep)
        for (index, part) in own.enumerated() {
          for element in part.values.indices { gradients[index].values[element] += factor * part.values[element] }
        }
        continue
      }
      network.backward(rows[row], sums: sums, outputGradient: gradient.map { $0 / observed }, into: &gradients)
    }
    for (index, values) in try noise?(step).enumerated() ?? [].enumerated() {
      for element in values.indices { gradients[index].values[element] += values[element] }
    }
    optimizer.update(&network.parameters, gradients: gradients, rate: rate(step))
    return sum / observed
  }

  private static func zeros(_ network: NaiveNetwork) -> [NaiveParameter] {
    network.parameters.map {
      NaiveParameter($0.name, rows: $0.rows, columns: $0.columns, isVector: $0.isVector)
    }
  }

  private func rate(_ step: Int) -> Double {
    let peak = job.optimizer.learningRate
    let total = Double(batches.count)
    let warm = (job.schedule.warmup * total).rounded(.up)
    let t = Double(step)
    if t < warm { return peak * (t + 1) / warm }
    switch job.schedule.decay {
    case .none: return peak
    case .linear: return peak * (total - t) / (total - warm)
    case .cosine: return peak * 0.5 * (1 + cos(.pi * (t - warm) / (total - warm)))
    }
  }

  private static func named(_ network: NaiveNetwork) -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for layer in 0..<network.layers {
      let (inputs, outputs) = (network.widths[layer], network.widths[layer + 1])
      result["\(network.name(layer)).weight"] = (0..<(outputs * inputs)).map {
        network.weight(layer, $0 / inputs, $0 % inputs)
      }
      result["\(network.name(layer)).bias"] = (0..<outputs).map { network.bias(layer, $0) }
    }
    return result
  }

  /// The largest of ‖model − plain‖∞ / ‖plain‖∞ over all tensors of a run's model.
  func largestRelativeDifference(to directory: RunDirectory) throws -> Double {
    let model: NamedTensors<Double> = try SafetensorsFile(
      path: directory.model.appending(path: "model.safetensors").path
    ).tensors()
    guard Set(model.names) == Set(weights.keys) else { return .infinity }
    return model.map { name, tensor -> Double in
      guard let plain = weights[name], plain.count == tensor.count else { return .infinity }
      let difference = zip(tensor.elements, plain).map { abs($0 - $1) }.max() ?? 0
      return difference / (plain.map(abs).max() ?? 0)
    }.max() ?? .infinity
  }
}
