# Shortens the build of llama-server; included by CMAKE_PROJECT_TOP_LEVEL_INCLUDES, which leaves the sources as they are.

# The programs spend their time in ggml, which keeps -O3.
set(libraries llama mtmd llama-common server-context llama-server-impl cpp-httplib)
# These do not compile in one file with others, as tried with builds 10524 and 11434.
set(alone
    src/models/gemma4.cpp
    common/chat.cpp
    common/json.cpp
    tools/mtmd/mtmd-helper.cpp
    tools/mtmd/mtmd-helper-gen.cpp)

function(shorten_build)
    foreach(library IN LISTS libraries)
        if(TARGET ${library})
            target_compile_options(${library} PRIVATE -O1)
            if(UNITED)
                set_target_properties(${library} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
                list(TRANSFORM alone PREPEND ${CMAKE_SOURCE_DIR}/ OUTPUT_VARIABLE files)
                set_source_files_properties(${files}
                    TARGET_DIRECTORY ${library} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
            endif()
        endif()
    endforeach()
endfunction()
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL shorten_build)
