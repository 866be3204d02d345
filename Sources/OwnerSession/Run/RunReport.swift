package import Wire

/// What a finished run says of itself; written to `summary.json` and shown as a table.
package struct RunReport: Sendable, Codable {
  package struct Seconds: Sendable, Codable {
    package var total: Double
    package var reading: Double
    package var masking: Double
    package var waitingForTrainer: Double
    package var loss: Double
  }

  package var job: JobID
  package var evaluations: [ProgressRecord]
  /// The epoch whose weights `model/` holds, counted from 0.
  package var keptEpoch: Int?
  package var steps: Int
  package var trainingRows: Int
  package var epochs: Int
  /// Distinct rows the trainer saw under this key, training and validation.
  package var rowsSeen: Int
  package var seconds: Seconds
  package var bytesSent: Int
  package var bytesReceived: Int
  /// Bytes of all messages sent, over what the same messages would take with plain float32 rows of d columns and unpadded
  /// weights: rows, weights, gradients, labels, slot numbers and headers, on both sides of the ratio. What CURVE and TCP add to
  /// each frame is on neither.
  package var expansion: Double
  package var ownerCPUSeconds: Double
  package var trainerCPUSeconds: Double
}
