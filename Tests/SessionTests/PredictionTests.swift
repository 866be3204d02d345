import Models
import Files
import Datasets
import Foundation
import Foundations
import OwnerRole
import Numerics
import Testing
import TestSupport
import Protocol

@Suite(.waiting, .timeLimit(.minutes(10))) struct PredictionTests {
  /// Double: predictions are stored in single precision, 2⁻²⁴ ≈ 6e-8 of a value of order 1 to 10; masking adds 1e-15.
  @Test(arguments: [LearningTask.classification, .multilabel, .regression, .survival], [false, true])
  func maskedInferenceEqualsThePlaintextModel(_ task: LearningTask, _ standardize: Bool) throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        $0.task = task
        $0.standardize = standardize
        $0.epochs = 2
        $0.microBatch = $0.batch
      })
    try run.execute(on: site.network)
    let new = try SmallData(in: site.directory, rows: 600, seed: 5)
    let file = site.directory.url("predictions.h5")
    try predict(with: run, at: site, new.file, to: file)
    let expected = try plaintext(run, new, standardize: standardize)
    let outputs = try matrix(file, "outputs")
    #expect(outputs.count == expected.count)
    #expect(zip(outputs, expected).allSatisfy { abs(Double($0) - $1) <= 1e-7 * max(1, abs($1)) })
    try expectDerived(task, file, expected)
    // Nothing of it stays at the trainer.
    let jobs = trainer.store.appending(path: "jobs").path
    let deadline = ContinuousClock.now + .seconds(120)
    while !(try FileManager.default.contentsOfDirectory(atPath: jobs)).isEmpty, ContinuousClock.now < deadline {
      usleep(10_000)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: jobs).isEmpty)
  }

  /// What comes back is the plaintext model's output for x + σ·g with fresh g: through a linear model w it differs from the clean
  /// output by a Gaussian of variance σ²‖w‖², which the mean square of 600 rows gives to √(2/600) ≈ 0.058; five such are 0.3.
  @Test func rowsToPredictGetFreshNoiseOfTheJobsDeviation() throws {
    let sigma = 0.25
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        ($0.task, $0.hidden, $0.epochs, $0.noise) = (.regression, [], 2, sigma)
        $0.optimizer = SmallJob.sgd(rate: 0.02, clip: 1)
      })
    try run.execute(on: site.network)
    let new = try SmallData(in: site.directory, rows: 600, seed: 5)
    var predictions: [[Float]] = []
    for name in ["first", "second"] {
      let file = site.directory.url("\(name).h5")
      try predict(with: run, at: site, new.file, to: file)
      predictions.append(try matrix(file, "outputs"))
    }
    let model: NamedTensors<Double> = try SafetensorsFile(
      path: run.directory.model.appending(path: "model.safetensors").path
    ).tensors()
    let weight = try #require(model["layers.0.weight"]).elements
    let bias = try #require(model["layers.0.bias"]).elements
    #expect(zip(predictions[0], predictions[1]).allSatisfy { $0 != $1 })
    for outputs in predictions {
      for output in 0..<3 {
        let row = weight[output * 6..<output * 6 + 6]
        let expected = sigma * sigma * row.reduce(0) { $0 + $1 * $1 }
        let found = new.features.indices.reduce(0.0) { sum, index in
          let clean = zip(row, new.features[index]).reduce(bias[output]) { $0 + $1.0 * Double($1.1) }
          return sum + pow(Double(outputs[index * 3 + output]) - clean, 2) / Double(new.rows)
        }
        #expect(abs(found / expected - 1) < 0.3)
      }
    }
  }

  @Test func anAdapterIsPartOfTheModel() throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob().changing { ($0.adapter, $0.padding, $0.epochs) = (4, 0, 2) })
    try run.execute(on: site.network)
    let file = site.directory.url("predictions.h5")
    try predict(with: run, at: site, site.data.file, to: file)
    let model: NamedTensors<Double> = try SafetensorsFile(
      path: run.directory.model.appending(path: "model.safetensors").path
    ).tensors()
    let names = ["adapter", "layers.0", "layers.1", "layers.2"]
    let network = NaiveNetwork(
      widths: [6, 4, 7, 5, 3], activation: .relu, hasAdapter: true,
      weights: names.map { model["\($0).weight"]?.elements ?? [] },
      biases: names.map { model["\($0).bias"]?.elements ?? [] })
    let expected = site.data.features.flatMap { network.forward($0.map(Double.init)).last ?? [] }
    let outputs = try matrix(file, "outputs")
    #expect(outputs.count == expected.count)
    #expect(zip(outputs, expected).allSatisfy { abs(Double($0) - $1) <= 1e-7 * max(1, abs($1)) })
    let readme = try String(contentsOf: run.directory.model.appending(path: "README.md"), encoding: .utf8)
    #expect(readme.contains("[\"adapter\"] + "))
  }

  @Test func dataOfAnotherWidthIsRefused() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob().changing { $0.epochs = 1 })
    try run.execute(on: site.network)
    let file = site.directory.url("none.h5")
    #expect(throws: OwnerError.unfitData("the data has 3 features, the model takes 6")) {
      try predict(with: run, at: site, site.data.file, features: "targets", to: file)
    }
    #expect(!FileManager.default.fileExists(atPath: file.path))
    #expect(
      !(try FileManager.default.contentsOfDirectory(atPath: site.directory.url("").path)).contains {
        $0.hasPrefix(".predicting")
      })
  }

  /// Answers in the clear are under no name while they come, so that a kill leaves none.
  @Test func whatIsAnsweredIsUnderNoName() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob().changing { $0.epochs = 1 })
    try run.execute(on: site.network)
    let new = try SmallData(in: site.directory, rows: 600, seed: 5)
    let place = site.directory.url("predictions")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: false)
    var looks = 0
    try predict(with: run, at: site, new.file, to: place.appending(path: "p.h5")) { _, _ in
      looks += 1
      #expect((try? FileManager.default.contentsOfDirectory(atPath: place.path)) == [])
    }
    #expect(looks == 3)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["p.h5"])
  }

  /// Masked inference on `data` with a finished run's model.
  private func predict<Element: FloatingElement>(
    with run: OwnedRun<Element>, at site: Site<Element>, _ data: URL, features: String? = nil, to file: URL,
    progress: (Int, Int) -> Void = { _, _ in }
  ) throws {
    let source = try ModelSource.find(
      run.directory.root, task: nil, pool: nil, strength: nil, maximumTokens: nil)
    let options = RunOptions(compute: Compute(threads: 1), patience: .seconds(5), software: "test owner")
    _ = try Prediction<Element>(
      model: try source.open(), owner: site.keys, channel: site.network.connect(site.keys.ownerKey), options: options
    ).write(data: data.path, features: features, to: file, progress: progress)
  }

  /// What `model/` documents, in plain loops.
  private func plaintext(_ run: OwnedRun<Double>, _ data: SmallData, standardize: Bool) throws -> [Double] {
    let model: NamedTensors<Double> = try SafetensorsFile(
      path: run.directory.model.appending(path: "model.safetensors").path
    ).tensors()
    let network = NaiveNetwork(
      widths: [6, 7, 5, run.prepared.shape.data.outputs], activation: .relu,
      weights: (0..<3).map { model["layers.\($0).weight"]?.elements ?? [] },
      biases: (0..<3).map { model["layers.\($0).bias"]?.elements ?? [] })
    var mean = [Double](repeating: 0, count: 6)
    var scale = [Double](repeating: 1, count: 6)
    if standardize {
      let fitted: NamedTensors<Double> = try SafetensorsFile(
        path: run.directory.model.appending(path: "standardization.safetensors").path
      ).tensors()
      mean = fitted["mean"]?.elements ?? []
      scale = fitted["scale"]?.elements ?? []
    }
    return data.features.flatMap { row in
      network.forward(row.indices.map { Double(Float((Double(row[$0]) - mean[$0]) / scale[$0])) }).last ?? []
    }
  }

  private func expectDerived(_ task: LearningTask, _ file: URL, _ outputs: [Double]) throws {
    let predictions = try matrix(file, "predictions")
    switch task {
    case .classification, .tokenClassification, .causalLanguageModel:
      let expected = stride(from: 0, to: outputs.count, by: 3).map { first in
        (0..<3).max { outputs[first + $0] < outputs[first + $1] } ?? 0
      }
      #expect(predictions.map { Int($0) } == expected)
      let probabilities = try matrix(file, "probabilities")
      // Three numbers of 2⁻²⁵ each.
      for first in stride(from: 0, to: probabilities.count, by: 3) {
        #expect(abs(probabilities[first..<(first + 3)].reduce(0, +) - 1) < 1e-6)
      }
    case .multilabel: #expect(predictions.map { $0 == 1 } == outputs.map { $0 > 0 })
    case .regression, .survival: #expect(predictions == (try matrix(file, "outputs")))
    }
  }

  private func matrix(_ file: URL, _ name: String) throws -> [Float] {
    let source = try HDF5File(path: file.path).openFeatures(path: name)
    var values = [Float](repeating: 0, count: source.rows * source.columns)
    try values.withUnsafeMutableBufferPointer { try source.read(rows: 0..<source.rows, into: $0) }
    return values
  }
}
