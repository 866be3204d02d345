#ifndef CHDF5_SHIM_H
#define CHDF5_SHIM_H

// Link and object information changed its layout in 1.12; this keeps the 1.10 names on every later library.
#define H5_USE_110_API 1
#include <hdf5.h>

// libhdf5 spells its constants as macros that first initialise the library, and Swift imports no such macro: each one that
// is used gets a function of the same name.

static inline hid_t hdf5NativeFloat(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t hdf5NativeDouble(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t hdf5NativeInt32(void) { return H5T_NATIVE_INT32; }
static inline hid_t hdf5NativeInt64(void) { return H5T_NATIVE_INT64; }
static inline hid_t hdf5NativeUInt8(void) { return H5T_NATIVE_UINT8; }
static inline hid_t hdf5LittleEndianFloat32(void) { return H5T_IEEE_F32LE; }
static inline hid_t hdf5LittleEndianInt32(void) { return H5T_STD_I32LE; }
static inline hid_t hdf5LittleEndianInt64(void) { return H5T_STD_I64LE; }
static inline hid_t hdf5LittleEndianUInt8(void) { return H5T_STD_U8LE; }
static inline hid_t hdf5CString(void) { return H5T_C_S1; }
static inline size_t hdf5VariableLength(void) { return H5T_VARIABLE; }

static inline hid_t hdf5DefaultProperties(void) { return H5P_DEFAULT; }
static inline hid_t hdf5NewFileAccess(void) { return H5Pcreate(H5P_FILE_ACCESS); }
static inline hid_t hdf5NewFileCreation(void) { return H5Pcreate(H5P_FILE_CREATE); }
static inline hid_t hdf5NewDatasetAccess(void) { return H5Pcreate(H5P_DATASET_ACCESS); }
static inline hid_t hdf5NewDatasetCreation(void) { return H5Pcreate(H5P_DATASET_CREATE); }
static inline hid_t hdf5NewLinkCreation(void) { return H5Pcreate(H5P_LINK_CREATE); }

static inline hid_t hdf5WholeSpace(void) { return H5S_ALL; }
static inline hsize_t hdf5Unlimited(void) { return H5S_UNLIMITED; }
static inline unsigned hdf5ReadOnly(void) { return H5F_ACC_RDONLY; }
static inline unsigned hdf5OverwriteFlag(void) { return H5F_ACC_TRUNC; }
static inline haddr_t hdf5UndefinedAddress(void) { return HADDR_UNDEF; }

// The error stack of the calling thread.
static inline herr_t hdf5SilenceErrors(void) { return H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }
static inline herr_t hdf5WalkErrors(H5E_walk2_t callback, void *context) {
  return H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, callback, context);
}

// Structures whose layout depends on the library's version stay in C.

enum hdf5LinkKind { hdf5LinkAbsent, hdf5LinkHard, hdf5LinkSoft, hdf5LinkExternal, hdf5LinkUserDefined };

// The kind of the link `name` in `group`, and the bytes its value takes (soft and external links); negative on failure.
static inline int hdf5GetLink(hid_t group, const char *name, size_t *valueSize) {
  H5L_info_t info;
  *valueSize = 0;
  htri_t exists = H5Lexists(group, name, H5P_DEFAULT);
  if (exists < 0) return -1;
  if (exists == 0) return hdf5LinkAbsent;
  if (H5Lget_info(group, name, &info, H5P_DEFAULT) < 0) return -1;
  if (info.type == H5L_TYPE_HARD) return hdf5LinkHard;
  *valueSize = info.u.val_size;
  if (info.type == H5L_TYPE_SOFT) return hdf5LinkSoft;
  return info.type == H5L_TYPE_EXTERNAL ? hdf5LinkExternal : hdf5LinkUserDefined;
}

// A number that two identifiers share exactly when they are the same object of one file; negative on failure.
static inline int hdf5GetObjectAddress(hid_t object, haddr_t *address) {
  H5O_info_t info;
  if (H5Oget_info(object, &info) < 0) return -1;
  *address = info.addr;
  return 0;
}

// Link `index` of a group in the order of names: its length, and the name where `size` leaves room.
static inline ssize_t hdf5GetLinkName(hid_t group, hsize_t index, char *name, size_t size) {
  return H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, index, name, size, H5P_DEFAULT);
}

static inline hid_t hdf5OpenAttribute(hid_t object, hsize_t index) {
  return H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, index, H5P_DEFAULT, H5P_DEFAULT);
}

// The number of attributes of an object; negative on failure.
static inline int64_t hdf5CountAttributes(hid_t object) {
  H5O_info_t info;
  if (H5Oget_info(object, &info) < 0) return -1;
  return (int64_t)info.num_attrs;
}

#endif
