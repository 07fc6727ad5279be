# Warnings, visibility and sanitizers, in one interface target that every target of ours links.
add_library(smelt_flags INTERFACE)
target_include_directories(smelt_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(smelt_flags INTERFACE _GNU_SOURCE)
target_compile_options(smelt_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:
        -fvisibility=hidden -fno-strict-aliasing
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
        -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wcast-qual -Wswitch-enum -Wimplicit-fallthrough
        # the goto-cleanup shape is guarded by whichever of these the compiler has
        $<$<C_COMPILER_ID:GNU>:-Wjump-misses-init>
        $<$<C_COMPILER_ID:Clang>:-Wconditional-uninitialized>
        $<$<BOOL:${SMELT_WERROR}>:-Werror>>)
if(SMELT_SANITIZE)
    target_compile_options(smelt_flags INTERFACE
        -fsanitize=${SMELT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(smelt_flags INTERFACE -fsanitize=${SMELT_SANITIZE})
endif()
if(SMELT_FUZZ)
    target_compile_options(smelt_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The public headers, usable without anything else of the tree.
add_library(smelt_public_headers INTERFACE)
target_include_directories(smelt_public_headers INTERFACE
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# smelt_objects(folder SOURCES...): the object library of one folder.
function(smelt_objects folder)
    add_library(smelt_${folder} OBJECT ${ARGN})
    set_target_properties(smelt_${folder} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(smelt_${folder} PRIVATE smelt_flags smelt_public_headers ${SMELT_LIBRARIES})
endfunction()

# smelt_embed(out file): a generated C source with the file's bytes as sm_embedded_<name>[] and its
# size as sm_embedded_<name>_size; its path is appended to the list `out`.
function(smelt_embed out file)
    get_filename_component(name "${file}" NAME)
    string(MAKE_C_IDENTIFIER "${name}" identifier)
    set(source ${CMAKE_BINARY_DIR}/generated/embedded_${identifier}.c)
    set(script ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)
    add_custom_command(OUTPUT ${source}
        COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/${file} -DOUTPUT=${source}
                -DSYMBOL=sm_embedded_${identifier} -P ${script}
        DEPENDS ${CMAKE_SOURCE_DIR}/${file} ${script} VERBATIM)
    set(${out} ${${out}} ${source} PARENT_SCOPE)
endfunction()
