/// The word a job writes for `TrainedPart`; the settings of `lora` are keys of their own.
enum TrainedPartKind: String, Sendable, CaseIterable {
  case all
  case head
  case lora
}
