import Tensors

/// Forward passes that keep nothing, on memory of their own.
final class Inference<Element: FloatingElement> {
  private let model: Model
  private let activations: ActivationBuffers<Element>
  /// Kept between calls; grows to the largest rows asked for.
  private var input: MatrixBuffer<Element>

  /// Rows whose activations are in memory at once: enough for the multiplications to run at full speed.
  static var blockRows: Int { 256 }

  init(_ model: Model) {
    self.model = model
    activations = ActivationBuffers(model, rows: Self.blockRows, forTraining: false)
    input = MatrixBuffer(rows: 0, columns: model.inputWidth)
  }

  func run(
    rows: Int, parameters: [MatrixView<Element>], workers: Workers,
    filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    guard rows >= 1 else { throw TrainingError.invalidSetting("inference needs at least 1 row") }
    guard Shape.byteCount([rows, model.inputWidth], Element.elementType) != nil,
      Shape.byteCount([rows, model.outputWidth], Element.elementType) != nil
    else { throw TrainingError.tooLarge }
    if input.rows < rows { input = MatrixBuffer(rows: rows, columns: model.inputWidth) }
    let source = input.view.rows(0..<rows)
    try filling(UnsafeMutableBufferPointer(start: source.base, count: source.count))
    var result = Tensor<Element>(uninitialized: [rows, model.outputWidth])
    result.withUnsafeMutableBufferPointer { target in
      for first in stride(from: 0, to: rows, by: Self.blockRows) {
        let block = first..<min(rows, first + Self.blockRows)
        let outputs = activations.forward(
          rows: 0..<block.count, input: source.rows(block), parameters: parameters, workers: workers)
        target.baseAddress?.advanced(by: first * model.outputWidth).update(from: outputs.base, count: outputs.count)
      }
    }
    return result
  }
}
